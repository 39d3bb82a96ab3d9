"""What interruptions cost: paid hours of work that is stopped at random and starts again from its last checkpoint.

Symbols: W work hours, d checkpoint write, R restart, tau work between checkpoints, M mean time between
interruptions of the whole gang (mean of one instance divided by the instances: one interruption stops all).
Interruptions are exponential and may also hit checkpoints and restarts.

- With checkpoints (J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps",
  Future Generation Computer Systems 22 (2006), equation 20): T = M e^(R/M) (e^((tau + d)/M) - 1) W / tau.
- Without (or where the work is over before the first would be written): T = M e^(R/M) (e^(W/M) - 1).
- Best interval (the same, equation 37): tau = sqrt(2 d M) (1 + sqrt(d/2M) / 3 + (d/2M) / 9) - d while d < 2M,
  else M. J. W. Young, Communications of the ACM 17 (1974): sqrt(2 d M), the first term.
- A service has no work to lose, so it pays for its restarts only: T = W e^(R/M), the limit for d, tau -> 0.

Plain floats in a fixed order of operations: the same arguments give the same bits.
"""

from bisect import bisect_right
from math import exp, expm1, inf, log1p, sqrt
from typing import NamedTuple

from trimtab_service.domain.workloads import Interruption

DEFAULT_WAIT_HOURS = 0.25
"""Assumed mean wait for new capacity after an interruption, when fallbacks are used. Not billed; deadlines count it.

An assumption, not a measurement: recorded waits for the same single zone are 1.1 to 3.6 h on average.
"""

NEVER_FINISHES_FACTOR = 1_000.0
"""Work whose paid hours are expected to be over this many times its length is held to never finish."""

ADVISOR_MONTH_HOURS = 720.0
"""The month that interruption shares of the Spot Advisor are read over: 30 days."""

ADVISOR_SHARES: tuple[float, ...] = (0.025, 0.075, 0.125, 0.175, 0.25)
"""Monthly interruption share assumed for the buckets <5, 5-10, 10-15, 15-20 and >20 %: the middle of each.

The last bucket is open; 25 % continues the pattern and is not published by anyone.
"""

UNKNOWN_BUCKET_SHARE = ADVISOR_SHARES[2]
"""Share assumed where no bucket is published: the median bucket of those that are."""

RISK_LIMITS: tuple[float, ...] = (0.05, 0.10, 0.15, 0.20)
"""Monthly interruption shares at which the risk class rises from 1 to 5."""


class SpotOutlook(NamedTuple):
    """What to expect of interruptible capacity, per instance of the gang; all infinite when it never finishes.

    `interval_hours` is the work between checkpoints, None where none are written. `expected_interruptions` are
    of the whole gang. `elapsed_hours` adds the waits for capacity, which are not billed.
    A tuple, because the decision path makes one for each rate it meets.
    """

    billed_hours: float
    expected_interruptions: float
    interval_hours: float | None
    elapsed_hours: float


def rate_of_share(share: float) -> float:
    """Interruptions per hour that give this interruption share (0 to below 1) over 30 days of running."""
    return -log1p(-share) / ADVISOR_MONTH_HOURS


BUCKET_RATES: tuple[float, ...] = tuple(rate_of_share(share) for share in ADVISOR_SHARES)
"""Interruptions per hour of each advisor bucket, by its code 0 to 4."""

UNKNOWN_BUCKET_RATE: float = rate_of_share(UNKNOWN_BUCKET_SHARE)
"""Interruptions per hour where no bucket is published."""

RISK_RATES: tuple[float, ...] = tuple(rate_of_share(share) for share in RISK_LIMITS)


def bucket_rate(bucket: int) -> float:
    """Interruptions per hour of an advisor bucket code; a negative code is an unknown bucket."""
    return BUCKET_RATES[bucket] if bucket >= 0 else UNKNOWN_BUCKET_RATE


def risk_class(rate: float) -> int:
    """1 (under 5 % a month) to 5 (over 20 %) for interruptions per hour of one instance."""
    return bisect_right(RISK_RATES, rate) + 1


def best_interval(write_hours: float, mean_hours: float) -> float:
    """Daly's interval in hours of work, for M > 0; 0 when writing a checkpoint costs nothing."""
    half = write_hours / (2.0 * mean_hours)
    if half >= 1.0:
        return mean_hours
    return sqrt(2.0 * write_hours * mean_hours) * (1.0 + sqrt(half) / 3.0 + half / 9.0) - write_hours


def outlook(  # noqa: PLR0913 - the variables of the formula, each a fact of its own
    hours: float,
    mean_hours: float | None,
    interruption: Interruption,
    count: int = 1,
    *,
    is_service: bool = False,
    wait_hours: float = DEFAULT_WAIT_HOURS,
) -> SpotOutlook:
    """Expected hours of `hours` of work on `count` instances, each interrupted every `mean_hours` on average.

    `mean_hours` None or infinite: never interrupted (a prescribed interval still costs its writes). Paid hours
    are never under `hours` and never fall when interruptions become more frequent. A prescribed interval is
    kept; otherwise the cheaper of Daly's interval and no checkpoint at all.
    """
    if hours <= 0.0:
        return SpotOutlook(0.0, 0.0, None, 0.0)
    interval: float | None
    if mean_hours is None or mean_hours == inf:
        billed, interval = _undisturbed(hours, interruption, is_service=is_service)
        return SpotOutlook(billed, 0.0, interval, billed)
    mean = mean_hours / count
    if mean <= 0.0:
        return _NEVER
    write = 0.0 if is_service else interruption.checkpoint_write_hours
    prescribed = None if is_service else interruption.checkpoint_interval_hours
    try:
        paid_restart = exp(interruption.restart_hours / mean)
        if write is None:
            billed, interval = _anew(hours, mean, paid_restart), None
        elif prescribed is not None:
            billed, interval = _prescribed(hours, mean, paid_restart, write, prescribed)
        elif write == 0.0:
            billed, interval = paid_restart * hours, None if is_service else 0.0
        else:
            billed, interval = _best(hours, mean, paid_restart, write)
    except OverflowError:
        return _NEVER
    if not billed <= hours * NEVER_FINISHES_FACTOR:
        return _NEVER
    if billed < hours:  # noqa: PLR1730 - max() costs a tenth of the whole function
        billed = hours
    interruptions = billed / mean
    return SpotOutlook(billed, interruptions, interval, billed + interruptions * wait_hours)


EXPONENT_LIMIT = 700.0
"""e to a little more than this is past the range of a double."""

_NEVER = SpotOutlook(inf, inf, None, inf)


def _undisturbed(hours: float, interruption: Interruption, *, is_service: bool) -> tuple[float, float | None]:
    write, interval = interruption.checkpoint_write_hours, interruption.checkpoint_interval_hours
    if is_service or write is None or interval is None or not 0.0 < interval < hours:
        return hours, None
    return hours * (1.0 + write / interval), interval


def _anew(hours: float, mean: float, paid_restart: float) -> float:
    return mean * paid_restart * expm1(hours / mean)


def _segments(hours: float, mean: float, paid_restart: float, write: float, interval: float) -> float:
    return mean * paid_restart * expm1((interval + write) / mean) * (hours / interval)


def _prescribed(
    hours: float, mean: float, paid_restart: float, write: float, interval: float
) -> tuple[float, float | None]:
    if interval >= hours:
        return _anew(hours, mean, paid_restart), None
    if interval <= 0.0:
        return (inf if write else paid_restart * hours), 0.0
    return _segments(hours, mean, paid_restart, write, interval), interval


def _best(hours: float, mean: float, paid_restart: float, write: float) -> tuple[float, float | None]:
    """The cheapest of `best_interval` (written out: a call less), M, and no checkpoint.

    The series is a little off where d nears 2M; M is tried there, so that no rate is cheaper than a lower one.
    """
    scale = mean * paid_restart
    half = write / (2.0 * mean)
    interval = mean if half >= 1.0 else sqrt(2.0 * write * mean) * (1.0 + sqrt(half) / 3.0 + half / 9.0) - write
    if interval >= hours:
        return scale * expm1(hours / mean), None
    billed = scale * expm1((interval + write) / mean) * (hours / interval)
    if mean <= write and half < 1.0 and mean < hours:
        other = scale * expm1((mean + write) / mean) * (hours / mean)
        if other < billed:
            billed, interval = other, mean
    if hours < EXPONENT_LIMIT * mean:
        single = scale * expm1(hours / mean)
        if single <= billed:
            return single, None
    return billed, interval
