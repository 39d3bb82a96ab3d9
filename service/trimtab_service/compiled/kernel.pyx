# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False
"""The compiled twin of `placement.plain`: the same search and the same answer, over C arrays.

Costs are doubles that hold integers below 2**53, and each product is rounded once by `rint` (half to even), as numpy
and Python's `round` do; compiled without contraction of products and sums. Everything that does not fit (a cost too
large, an offer that interruptions bar) gives None, and the interpreted form decides.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport INFINITY, exp, expm1
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint16_t, uint8_t
from libc.string cimport memcpy

from trimtab_service.domain.decisions import CostTerms, Decision, FailureDomain, Fallback, Placement, Verdict
from trimtab_service.placement.answer import price_notes
from trimtab_service.placement.interruptions import DEFAULT_WAIT_HOURS, NEVER_FINISHES_FACTOR, SpotOutlook, risk_class
from trimtab_service.placement.spot import RATE_OF_BUCKET, SpotCase, SpotRules

cdef enum:
    MOST_REGIONS = 512
    REGION_BYTES = 64
    MOST_CELLS = 1024
    MOST_PICKS = 16
    MOST_GEOGRAPHIES = 64
    BUCKETS = 6

cdef extern from *:
    """
    #define ROUNDER 6755399441055744.0 /* 1.5 * 2**52 */
    #define EXACT 2251799813685248.0 /* 2**51 */
    /* Nearest whole number, half to even, for sizes under 2**51; what is larger stays at least as large. */
    static inline double whole(double x) { return (x + ROUNDER) - ROUNDER; }
    /* What `gib` costs by the internet tiers of one source and geography, from the first GiB of a month on. */
    static double tiered(const double *from, const int64_t *nanos, int tiers, double gib) {
        double total = 0.0;
        for (int i = 0; i < tiers && from[i] < INFINITY; i++) {
            double upper = i + 1 < tiers ? from[i + 1] : INFINITY;
            if (from[i] <= 0.0 && gib <= upper) return whole((double)nanos[i] * (gib / 1000.0));
            double part = (gib < upper ? gib : upper) - from[i];
            if (part > 0.0) total += whole((double)nanos[i] * (part / 1000.0));
        }
        return total;
    }
    static void add_read(double *sum, const int64_t *pair, const double *by_geography, const int8_t *geography,
                         const int8_t *cloud, int8_t own, double gib, int n) {
        double thousand = gib / 1000.0;
        for (int r = 0; r < n; r++)
            sum[r] += cloud[r] == own ? whole((double)pair[r] * thousand) : by_geography[geography[r]];
    }
    static void cost_row(double *cost, const double *price, const double *sum, double factor, int n) {
        for (int r = 0; r < n; r++) cost[r] = whole(price[r] * factor) + sum[r];
    }
    /* Lane j holds cells j, j + LANES, ...: its least is found by as many comparisons at once as the machine has. */
    #define LANES 16
    static void lane_minima(const double *cost, double *least, int n) {
        for (int j = 0; j < LANES; j++) least[j] = cost[j];
        for (int i = LANES; i < n; i += LANES)
            for (int j = 0; j < LANES; j++) least[j] = cost[i + j] < least[j] ? cost[i + j] : least[j];
    }
    /* The cell of least cost, which is then left out; -1 when all are. */
    static int take_least(double *cost, double *least, int n, double *bound) {
        int lane = 0, cell = -1;
        for (int j = 1; j < LANES; j++) if (least[j] < least[lane]) lane = j;
        double sought = least[lane], next = INFINITY;
        if (sought == INFINITY) return -1;
        for (int i = lane; i < n; i += LANES) {
            if (cell < 0 && cost[i] == sought) { cell = i; cost[i] = INFINITY; }
            if (cost[i] < next) next = cost[i];
        }
        least[lane] = next;
        *bound = sought;
        return cell;
    }
    static double least_of(const double *least) {
        double found = least[0];
        for (int j = 1; j < LANES; j++) if (least[j] < found) found = least[j];
        return found;
    }
    """
    double EXACT
    double whole(double) nogil
    double tiered(const double*, const int64_t*, int, double) nogil
    void add_read(double*, const int64_t*, const double*, const int8_t*, const int8_t*, int8_t, double, int) nogil
    void cost_row(double*, const double*, const double*, double, int) nogil
    void lane_minima(const double*, double*, int) nogil
    int take_least(double*, double*, int, double*) nogil
    double least_of(const double*) nogil

_FORMS = (
    (Placement, "offer terms billed_hours expected_interruptions risk zones checkpoint_interval_hours price_age_days "
                "commitments covered_instances latency_ms draws"),
    (CostTerms, "compute interruption egress storage moving preference"),
    (Fallback, "placement differs_by"),
    (Decision, "verdict chosen fallbacks rejected_regions valid_until notes relaxations explanation "
               "approval_required_by"),
    (SpotOutlook, "billed_hours expected_interruptions interval_hours elapsed_hours"),
    (SpotCase, "outlook risk extra barred barred_moving"),
)
for _kind, _names in _FORMS:
    if _kind._fields != tuple(_names.split()):
        raise ImportError(f"the fields of {_kind.__name__} are others than this kernel makes")

cdef object _new = tuple.__new__
cdef object _placement = Placement
cdef object _terms = CostTerms
cdef object _fallback = Fallback
cdef object _decision = Decision
cdef object _placed = Verdict.PLACED
cdef object _zone = FailureDomain.ZONE
cdef object _region = FailureDomain.REGION
cdef object _cloud = FailureDomain.CLOUD
cdef object _zero = 0.0
cdef tuple _nothing = ()

cdef int _same_rate[BUCKETS]
"""The first bucket of the same rate: what is not published is held to be like the median."""
for _i in range(BUCKETS):
    _same_rate[_i] = RATE_OF_BUCKET.index(RATE_OF_BUCKET[_i])


cdef list _rates = list(RATE_OF_BUCKET)
cdef list _risks = [risk_class(rate) for rate in RATE_OF_BUCKET]
cdef double _wait = DEFAULT_WAIT_HOURS
cdef double _never = NEVER_FINISHES_FACTOR


cdef object _spot_case(work, int bucket):
    """What `SpotRules.case` gives, where nothing bars: work without checkpoints by the formula itself."""
    cdef double rate = _rates[bucket], hours, mean, billed, interruptions
    cdef object interruption = work.interruption
    cdef double count = work.count
    if interruption.checkpoint_write_hours is None and not work.is_service and rate > 0.0:
        hours = work.hours
        mean = 1.0 / rate / count
        billed = mean * exp(<double>interruption.restart_hours / mean) * expm1(hours / mean)
        if hours > 0.0 and billed <= hours * _never:
            if billed < hours:
                billed = hours
            interruptions = billed / mean
            return _new(SpotCase, (
                _new(SpotOutlook, (billed, interruptions, None, billed + interruptions * _wait)), _risks[bucket],
                (billed - hours) * count / 1000.0, None, None,
            ))
    return SpotRules(work, None, None).case(rate)


cdef struct Pick:
    int64_t cost
    int64_t price
    int risk
    int region
    int t
    int option
    int k
    int bucket


cdef class Held:
    """A C-contiguous array whose memory is read for as long as this object lives."""

    cdef object array
    cdef const void* data
    cdef Py_ssize_t size

    def __init__(self, array):
        self.array = array
        self.data = _address(array, &self.size)


cdef const void* _address(object array, Py_ssize_t* size) except NULL:
    """Where an array's memory is; valid while the caller holds the array."""
    cdef Py_buffer view
    cdef const void* data
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    data = view.buf
    size[0] = view.len
    PyBuffer_Release(&view)
    return data


cdef class PlainKernel:
    """Searches one catalogue. `index` is its `SearchIndex`."""

    cdef object index, made, offers_in_zones, names, clouds, region_index
    cdef list held
    cdef int regions
    cdef const int32_t* cell_start
    cdef const int64_t* price
    cdef const int16_t* type_of
    cdef const int8_t* bucket
    cdef const int32_t* as_of
    cdef const uint16_t* zone_bits
    cdef const int8_t* cloud_of
    cdef const int8_t* geography
    cdef const int64_t* pair_nanos
    cdef const double* tier_from
    cdef const int64_t* tier_nanos
    cdef int geographies, tiers

    def __init__(self, index):
        offers, egress = index.snapshot.offers, index.snapshot.egress
        self.region_index = index.snapshot.region_index
        self.index = index
        self.made = index.made_offers
        self.offers_in_zones = index.offers_in_zones
        self.names = index.snapshot.type_names
        self.clouds = index.clouds
        self.regions = index.region_count
        arrays = (
            (offers.cell_start, "<i4"), (offers.price_nanos, "<i8"), (offers.type_index, "<i2"), (offers.bucket, "|i1"),
            (offers.as_of, "<i4"), (index.snapshot.type_region_zones, "<u2"), (index.snapshot.region_cloud, "|i1"),
            (egress.region_geography, "|i1"), (egress.pair_nanos, "<i8"), (egress.internet_tier_from_gib, "<f8"),
            (egress.internet_tier_nanos, "<i8"),
        )
        for array, kind in arrays:
            if array.dtype.str != kind or not array.flags.c_contiguous:
                raise TypeError(f"an array is {array.dtype.str}, not contiguous {kind}")
        self.held = [Held(array) for array, _ in arrays]
        self.cell_start = <const int32_t*>(<Held>self.held[0]).data
        self.price = <const int64_t*>(<Held>self.held[1]).data
        self.type_of = <const int16_t*>(<Held>self.held[2]).data
        self.bucket = <const int8_t*>(<Held>self.held[3]).data
        self.as_of = <const int32_t*>(<Held>self.held[4]).data
        self.zone_bits = <const uint16_t*>(<Held>self.held[5]).data
        self.cloud_of = <const int8_t*>(<Held>self.held[6]).data
        self.geography = <const int8_t*>(<Held>self.held[7]).data
        self.pair_nanos = <const int64_t*>(<Held>self.held[8]).data
        self.tier_from = <const double*>(<Held>self.held[9]).data
        self.tier_nanos = <const int64_t*>(<Held>self.held[10]).data
        self.geographies, self.tiers = egress.internet_tier_from_gib.shape[1:]
        if self.regions > MOST_REGIONS or self.geographies > MOST_GEOGRAPHIES:
            raise ValueError("more regions or geographies than are provided for")

    def decide(self, query, cheapest, int options, object allowed, large_enough, tuple rejected, instant, valid,
               int today):
        """The decision; None where the interpreted form has to look.

        `options` is the number of rows, `allowed` the set of regions; `large_enough` gives the bytes of the set of
        types that would do.
        """
        cdef double bounds[MOST_CELLS]
        cdef double lanes[16]
        cdef Pick waiting[MOST_CELLS]
        cdef Pick picks[MOST_PICKS]
        cdef Pick best, spare
        cdef double by_geography[MOST_GEOGRAPHIES]
        cdef unsigned char left[REGION_BYTES]
        cdef unsigned char done[MOST_REGIONS]
        cdef double egress[MOST_REGIONS]
        cdef unsigned char seen_source[MOST_REGIONS]
        cdef double gib
        cdef int at
        cdef double extra[BUCKETS]
        cdef int risk[BUCKETS]
        cdef int known[BUCKETS]
        cdef int regions = self.regions, cells = options * regions
        cdef int i, j, r, cell, k, end, option, region, bucket, size, waits = 0, found = 0, wanted = 1, least
        cdef int fallbacks = query.max_fallbacks, source, home = -1
        cdef bint same_cloud = True, has_spare = False
        cdef double factor, bound, sum_of, hours, price
        cdef int64_t cost, rest
        cdef int clouds_seen = 0
        cdef Py_ssize_t length
        cdef const double* prices
        cdef const int16_t* ranks
        cdef bytes bits
        cdef list cases = [None] * BUCKETS
        cdef const unsigned char* ok = NULL
        cdef object ok_held = None
        work = query.workload
        if cells > MOST_CELLS or fallbacks > MOST_PICKS - 2 or options > 2:
            return None
        hours = work.hours
        factor = hours * work.count / 1000.0
        prices = <const double*>_address(cheapest[0], &length)
        if length < cells * 8:
            return None
        ranks = <const int16_t*>_address(cheapest[1], &length)
        if length < cells * 2:
            return None
        bits = allowed.to_bytes(REGION_BYTES, "little")
        memcpy(left, <const char*>bits, REGION_BYTES)
        for r in range(regions):
            egress[r] = 0.0
            seen_source[r] = 0
        for data in work.data_sets:
            location = data.location
            source = self.region_index[location.cloud, location.region]
            if seen_source[source] or data.private_nanos_per_gib is not None:
                return None
            seen_source[source] = 1
            gib = data.gib * data.reads
            for i in range(self.geographies):
                at = (source * self.geographies + i) * self.tiers
                by_geography[i] = tiered(self.tier_from + at, self.tier_nanos + at, self.tiers, gib)
            add_read(egress, self.pair_nanos + source * regions, by_geography, self.geography, self.cloud_of,
                     self.cloud_of[source], gib, regions)
        for r in range(regions):
            done[r] = not (left[r >> 3] >> (r & 7)) & 1
        for option in range(options):
            cost_row(bounds + option * regions, prices + option * regions, egress, factor, regions)
            for r in range(regions):
                if done[r]:
                    bounds[option * regions + r] = INFINITY
        size = (cells + 15) & ~15
        for cell in range(cells, size):
            bounds[cell] = INFINITY
        lane_minima(bounds, lanes, size)
        for i in range(BUCKETS):
            known[i] = 0

        while found < wanted:
            least = -1
            for i in range(waits):
                if least < 0 or self._before(&waiting[i], &waiting[least]):
                    least = i
            if least >= 0 and waiting[least].cost < least_of(lanes):
                best = waiting[least]
                waits -= 1
                waiting[least] = waiting[waits]
                region = best.region
                if done[region]:
                    continue
                done[region] = 1
                if not found:
                    home = self.cloud_of[region]
                    wanted += fallbacks
                    if fallbacks and self._more_zones(best.t, region):
                        wanted -= 1
                elif same_cloud:
                    same_cloud = self.cloud_of[region] == home
                    if same_cloud and fallbacks > 1 and found == wanted - 1:
                        # The last fallback, and none in another cloud yet: the best of those, or else this one.
                        spare = best
                        has_spare = True
                        for r in range(regions):
                            if self.cloud_of[r] == home:
                                done[r] = 1
                        continue
                picks[found] = best
                found += 1
                continue
            cell = take_least(bounds, lanes, size, &bound)
            if cell < 0:
                if has_spare:
                    picks[found] = spare
                    found += 1
                break
            if bound >= EXACT:
                return None
            option = cell // regions
            region = cell % regions
            if done[region]:
                continue
            k = self.cell_start[cell] + ranks[cell]
            cost = <int64_t>bound
            best.cost = cost
            best.price = self.price[k]
            best.risk = 0
            best.region = region
            best.t = self.type_of[k]
            best.option = option
            best.k = k
            best.bucket = -1
            if option:
                bucket = _same_rate[self.bucket[k] if self.bucket[k] >= 0 else BUCKETS - 1]
                if not known[bucket]:
                    case = _spot_case(work, bucket)
                    if (<tuple>case)[3] is not None:
                        return None
                    cases[bucket] = case
                    risk[bucket] = case[1]
                    extra[bucket] = case[2]
                    known[bucket] = 1
                rest = cost - <int64_t>whole(best.price * factor)
                bound = whole(best.price * extra[bucket])
                if bound >= EXACT:
                    return None
                best.cost = cost + <int64_t>bound
                best.risk = risk[bucket]
                best.bucket = bucket
                end = self.cell_start[cell + 1]
                for j in range(k + 1, end):
                    cost = rest + <int64_t>whole(self.price[j] * factor)
                    if cost > best.cost:
                        break
                    bucket = _same_rate[self.bucket[j] if self.bucket[j] >= 0 else BUCKETS - 1]
                    if bucket == best.bucket:
                        continue
                    if ok == NULL:
                        ok_held = large_enough()
                        ok = <const unsigned char*><const char*><bytes>ok_held
                    i = self.type_of[j]
                    if not (ok[i >> 3] >> (i & 7)) & 1:
                        continue
                    if not known[bucket]:
                        case = _spot_case(work, bucket)
                        cases[bucket] = case
                        known[bucket] = 1 if case[3] is None else -1
                        risk[bucket] = case[1]
                        extra[bucket] = case[2]
                    if known[bucket] < 0:
                        continue
                    bound = whole(self.price[j] * extra[bucket])
                    if bound >= EXACT:
                        return None
                    waiting[waits].cost = cost + <int64_t>bound
                    waiting[waits].price = self.price[j]
                    waiting[waits].risk = risk[bucket]
                    waiting[waits].region = region
                    waiting[waits].t = i
                    waiting[waits].option = option
                    waiting[waits].k = j
                    waiting[waits].bucket = bucket
                    if self._before(&waiting[waits], &best):
                        best = waiting[waits]
            waiting[waits] = best
            waits += 1

        if not found:
            return None
        places = []
        fallen = []
        chosen = None
        for i in range(found):
            best = picks[i]
            offers = self.made.get((best.k, best.option))
            if offers is None:
                offers = self.offers_in_zones(best.k, best.region, best.option)
            age = today - self.as_of[best.k]
            if age < 0:
                age = 0
            compute = <int64_t>whole(best.price * factor)
            if best.bucket < 0:
                place = _new(_placement, (
                    (<tuple>offers)[0], _new(_terms, (compute, 0, <int64_t>egress[best.region], 0, 0, 0)), hours, _zero,
                    0, _nothing, None, age, _nothing, _zero, _zero, _nothing,
                ))
            else:
                case = cases[best.bucket]
                seen = (<tuple>case)[0]
                place = _new(_placement, (
                    (<tuple>offers)[0],
                    _new(_terms, (
                        compute, <int64_t>whole(best.price * extra[best.bucket]), <int64_t>egress[best.region], 0, 0, 0,
                    )),
                    (<tuple>seen)[0], (<tuple>seen)[1], best.risk, _nothing, (<tuple>seen)[2], age, _nothing, _zero,
                    _zero, _nothing,
                ))
            if not i:
                chosen = place
                clouds_seen = 1 << self.cloud_of[best.region]
                if fallbacks and len(<tuple>offers) > 1:
                    near = (<tuple>offers)[1:2] + (<tuple>place)[1:]
                    fallen.append(_new(_fallback, (_new(_placement, near), _zone)))
            else:
                j = 1 << self.cloud_of[best.region]
                fallen.append(_new(_fallback, (place, _region if clouds_seen & j else _cloud)))
                clouds_seen |= j
        notes = price_notes(work.readings, chosen)
        return _new(_decision, (
            _placed, chosen, tuple(fallen), rejected, instant + valid, notes, _nothing, None, "",
        ))

    def next_spot(self, bytes ok, bytes learned, int seen, int k, int end):
        """The first spot offer of a cell from k on that is of `ok` types and of a rate not `seen`; -1 for none.

        `seen` are bits of buckets whose rate was looked at. It tells nothing of `learned` types, whose rates are
        their own.
        """
        cdef const unsigned char* types = <const unsigned char*>PyBytes_AS_STRING(ok)
        cdef const unsigned char* own = <const unsigned char*>PyBytes_AS_STRING(learned)
        cdef int t, bucket
        while k < end:
            t = self.type_of[k]
            if (types[t >> 3] >> (t & 7)) & 1:
                if (own[t >> 3] >> (t & 7)) & 1:
                    return k
                bucket = _same_rate[self.bucket[k] if self.bucket[k] >= 0 else BUCKETS - 1]
                if not (seen >> bucket) & 1:
                    return k
            k += 1
        return -1

    def rate_bit(self, int k):
        """The bit of offer k's bucket in `seen`."""
        return 1 << _same_rate[self.bucket[k] if self.bucket[k] >= 0 else BUCKETS - 1]

    cdef bint _before(self, const Pick* one, const Pick* other):
        """The order of candidates, as far as it can tell two apart here."""
        if one.cost != other.cost:
            return one.cost < other.cost
        if one.risk != other.risk:
            return one.risk < other.risk
        if one.price != other.price:
            return one.price < other.price
        if one.region != other.region:
            return one.region < other.region
        if one.t != other.t and self.names[one.t] != self.names[other.t]:
            return self.names[one.t] < self.names[other.t]
        return one.option < other.option

    cdef bint _more_zones(self, int t, int region):
        cdef unsigned int bits = self.zone_bits[t * self.regions + region]
        return bits & (bits - 1) != 0
