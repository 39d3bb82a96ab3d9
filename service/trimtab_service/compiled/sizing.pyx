# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False, infer_types=False
"""The inner loops of sizing one resource: histograms by day, the level of least regret, and back-tests.

Of one resource the arrays are small, and numpy's calls cost more than what they do. Each function here stands for a few
of them in `rightsizing` (named at each) and gives the same: what is counted and what is chosen to the bit, sums of
samples within rounding, for numpy adds up in an order of its own.
"""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef enum:
    COLUMNS = 64

cdef double NAN = float("nan")


def measured(
    const double[:, :, :] days, double[:, ::1] peaks, double[:, ::1] relative, double[::1] scale, float[:, ::1] known
):
    """`sketches._Days`: the highest sample of each day [r][day], also relative to that of all, and how many there are."""
    cdef Py_ssize_t r, day, point
    cdef double value, highest, most
    cdef int count
    for r in range(days.shape[0]):
        most = NAN
        for day in range(days.shape[1]):
            highest, count = NAN, 0
            for point in range(days.shape[2]):
                value = days[r, day, point]
                if value == value:
                    count += 1
                    if not highest >= value:
                        highest = value
            peaks[r, day] = highest
            known[r, day] = count
            if highest == highest and not most >= highest:
                most = highest
        scale[r] = most
        for day in range(days.shape[1]):
            highest = peaks[r, day]
            relative[r, day] = highest / most if most != 0 or highest != highest else 1.0


def histograms(
    const int32_t[:, :, ::1] at, const int64_t[::1] packed, const float[::1] inverse,
    float[:, :, ::1] weight, float[:, :, ::1] filled,
):
    """`sketches._histograms`: columns [r][day][point] to running sums [day][r][column]."""
    cdef Py_ssize_t r, day, point, column
    cdef int64_t counts[COLUMNS]
    cdef uint64_t total
    for r in range(at.shape[0]):
        for day in range(at.shape[1]):
            memset(counts, 0, sizeof(counts))
            for point in range(at.shape[2]):
                counts[at[r, day, point]] += 1
            total = 0
            for column in range(COLUMNS):
                total += <uint64_t>(counts[column] * packed[column])
                weight[day, r, column] = <float>(<uint32_t>total)
                filled[day, r, column] = <float>(<uint32_t>(total >> 32)) * inverse[column]
            weight[day, r, COLUMNS - 1] = weight[day, r, COLUMNS - 2]


def daily_levels(
    const float[:, :, ::1] weight, const float[:, ::1] known, const float[::1] ladder, float share, double enough,
    float[:, ::1] found,
):
    """`sketches.DailySketch.daily_levels`: the level that a share of a day's samples lie at or below [r][day]."""
    cdef Py_ssize_t r, day, column
    cdef float wanted
    for r in range(known.shape[0]):
        for day in range(known.shape[1]):
            if not known[r, day] >= enough:
                found[r, day] = <float>NAN
                continue
            wanted = weight[day, r, COLUMNS - 1] * share
            column = 0
            while column < COLUMNS - 2 and not weight[day, r, column] >= wanted:
                column += 1
            found[r, day] = ladder[column]


def growth(
    const float[:, :] daily, const float[:, :] logs, const int64_t[::1] first, const int64_t[::1] last,
    float most_counted, double prior_days, double prior, double most, double[:, ::1] found,
):
    """`estimators.DriftHeadroom.deviation`: daily levels [r][day] and the logarithms of their changes to [r][cut]."""
    cdef Py_ssize_t r, at, cut
    cdef Py_ssize_t number = logs.shape[1]
    cdef double *sums = <double *>calloc(2 * (number + 1), sizeof(double))
    cdef double *counts = sums + number + 1
    cdef float running, change, square
    cdef double spread
    if sums == NULL:
        raise MemoryError
    for r in range(logs.shape[0]):
        running = 0
        for at in range(number):
            change = logs[r, at]
            if daily[r, at] == 0 and daily[r, at + 1] == 0:
                change = 0
            counts[at + 1] = counts[at]
            if change == change:
                change = 0 if change < 0 else most_counted if change > most_counted else change
                square = change * change
                running += 2 * square
                counts[at + 1] += 1
            sums[at + 1] = running
        for cut in range(first.shape[0]):
            spread = prior_days * (prior * prior) + (sums[last[cut]] - sums[first[cut]])
            spread = sqrt(spread / (prior_days + (counts[last[cut]] - counts[first[cut]])))
            found[r, cut] = spread if spread < most else most
    free(sums)


def least_regret(
    const float[:, :, ::1] weight, const float[:, :, ::1] filled,
    const int64_t[::1] chosen, const int64_t[::1] edges, const int64_t[::1] begin, const int64_t[::1] end,
    const float[::1] ladder, float exchange, float beyond, float enough, double[:, ::1] found,
):
    """`levels.level_of_least_regret` of `sketches.combined`: histograms [day][r][column] to levels [r][cut].

    `exchange` and `beyond` are what is added for each; `enough` is the share of time that want is tolerated without.
    """
    cdef Py_ssize_t r, edge, day, column, cut, first, last, best
    cdef Py_ssize_t number = edges.shape[0]
    cdef float *weights = <float *>calloc(number * COLUMNS, sizeof(float))
    cdef float *fillings = <float *>calloc(number * COLUMNS, sizeof(float))
    cdef float *above
    cdef float *below
    cdef float total, at_most, here, gain, short, most
    if weights == NULL or fillings == NULL:
        free(weights)
        free(fillings)
        raise MemoryError
    for r in range(weight.shape[1]):
        # Sums over the first so many chosen days, up to each edge, added in the order of the days.
        for edge in range(1, number):
            above, below = weights + edge * COLUMNS, weights + (edge - 1) * COLUMNS
            for column in range(COLUMNS):
                above[column] = below[column] + weight[chosen[edges[edge - 1]], r, column]
            for day in range(edges[edge - 1] + 1, edges[edge]):
                for column in range(COLUMNS):
                    above[column] += weight[chosen[day], r, column]
            above, below = fillings + edge * COLUMNS, fillings + (edge - 1) * COLUMNS
            for column in range(COLUMNS):
                above[column] = below[column] + filled[chosen[edges[edge - 1]], r, column]
            for day in range(edges[edge - 1] + 1, edges[edge]):
                for column in range(COLUMNS):
                    above[column] += filled[chosen[day], r, column]
        for cut in range(begin.shape[0]):
            first, last = begin[cut] * COLUMNS, end[cut] * COLUMNS
            total = weights[last + COLUMNS - 1] - weights[first + COLUMNS - 1]
            if not total > 0:
                found[r, cut] = NAN
                continue
            at_most = total * enough
            best, most = 0, 0.0
            for column in range(COLUMNS):
                here = weights[last + column] - weights[first + column]
                gain = here * exchange
                gain += fillings[last + column] - fillings[first + column]
                short = here - at_most
                if short < 0:
                    short *= beyond
                    gain += short
                if column == 0 or gain > most:
                    best, most = column, gain
            found[r, cut] = ladder[best]
    free(weights)
    free(fillings)


def held_against(
    const double[:, :, :] days, const double[:, :] levels,
    int64_t[:, ::1] exceeded, int64_t[:, ::1] measured, double[:, ::1] unused,
):
    """`backtest._held_against`: days [r][window][point] against levels [r][window]."""
    cdef Py_ssize_t r, window, point
    cdef int64_t above, known
    cdef double size, value, used, idle
    for r in range(days.shape[0]):
        for window in range(days.shape[1]):
            size = levels[r, window]
            above, known, used = 0, 0, 0.0
            # A level that is not known tests nothing.
            if size == size:
                for point in range(days.shape[2]):
                    value = days[r, window, point]
                    if value > size:
                        above += 1
                        known += 1
                        used += size
                    elif value == value:
                        known += 1
                        used += value
            exceeded[r, window] = above
            measured[r, window] = known
            if known == 0:
                unused[r, window] = NAN
            elif size > 0:
                idle = 1.0 - used / (size * known)
                unused[r, window] = idle if idle > 0 else 0.0
            else:
                unused[r, window] = 0.0


def used_together(
    const double[:, :, :] days, const int64_t[::1] rows, const double[::1] capacities, double limit,
    int64_t[::1] above, int64_t[::1] known,
):
    """`evidence._use_of`: of each day of these rows [row][day][point] the intervals measured, and those in which any
    use is above its capacity by `limit`; returns (all of these, all of those, days measured, sum of the shares idle)."""
    cdef Py_ssize_t day, point, n
    cdef int64_t exceeded, measured, total_exceeded = 0, total = 0, measured_days = 0
    cdef double use, value, idle = 0.0
    for day in range(days.shape[1]):
        exceeded = measured = 0
        for point in range(days.shape[2]):
            use = NAN
            for n in range(rows.shape[0]):
                value = days[rows[n], day, point] / capacities[n]
                if value > use or (use != use and value == value):
                    use = value
            if use == use:
                measured += 1
                if use > limit:
                    exceeded += 1
                if use < 1.0:
                    idle += 1.0 - use
        above[day], known[day] = exceeded, measured
        total_exceeded += exceeded
        total += measured
        measured_days += measured > 0
    return total, total_exceeded, measured_days, idle


def used_by_rule(
    const double[:, :, :] days, const double[:, ::1] levels, double limit,
    int64_t[::1] above, int64_t[::1] known, double[::1] idle,
):
    """`evidence._joint_rule`: the same of the last days, each against its own levels [row][window]."""
    cdef Py_ssize_t window, point, n
    cdef Py_ssize_t skipped = days.shape[1] - levels.shape[1]
    cdef double use, value, size
    for window in range(levels.shape[1]):
        above[window] = known[window] = 0
        idle[window] = 0.0
        for point in range(days.shape[2]):
            use = NAN
            for n in range(levels.shape[0]):
                size = levels[n, window]
                value = days[n, skipped + window, point]
                # A load of nought fits a level of nought.
                value = 0.0 if size == 0 and value <= 0 else value / size
                if value > use or (use != use and value == value):
                    use = value
            if use == use:
                known[window] += 1
                if use > limit:
                    above[window] += 1
                if use < 1.0:
                    idle[window] += 1.0 - use


def days_measured(const double[:, :, :] days):
    """`evidence._days_measured`: how many days have a sample, of each load [row][day][point]."""
    cdef Py_ssize_t row, day, point
    cdef int64_t count
    found = []
    for row in range(days.shape[0]):
        count = 0
        for day in range(days.shape[1]):
            for point in range(days.shape[2]):
                if days[row, day, point] == days[row, day, point]:
                    count += 1
                    break
        found.append(count)
    return found


def regular(const int64_t[:] stamps, const double[:] values, int64_t step):
    """`regular._extent`: (least value, largest, how often they rise); None where stamps are not `step` apart.

    A NaN among the values makes both of them NaN.
    """
    cdef Py_ssize_t at
    cdef Py_ssize_t rises = 0
    cdef double low = values[0], high = values[0], value
    for at in range(1, stamps.shape[0]):
        if stamps[at] - stamps[at - 1] != step:
            return None
    for at in range(values.shape[0]):
        value = values[at]
        if value != value:
            return NAN, NAN, 0
        if value < low:
            low = value
        if value > high:
            high = value
        if at and value > values[at - 1]:
            rises += 1
    return low, high, rises


def worst(
    const int64_t[:] at, const unsigned char[:] lacks, const double[:] risks, unsigned char[:] too_small, double[:] risk
):
    """`candidates._size`: what a dimension's distinct sizes lack and risk, for each offer [k] that has one of them."""
    cdef Py_ssize_t offer
    for offer in range(at.shape[0]):
        too_small[offer] |= lacks[at[offer]]
        if risks[at[offer]] > risk[offer]:
            risk[offer] = risks[at[offer]]
