# What interruptions cost at a rate: `placement.interruptions.outlook` and `placement.spot.SpotRules.case`, in the same
# order of operations with the same functions of the C library. Where those overflow in Python, they are infinite here.

cdef struct Effort:
    # The work as interruptions see it. A negative write or interval is None; without a deadline an infinity is left.
    double hours, count, write, restart, interval, limit, left
    bint is_service


cdef struct SpotTerms:
    double rate, billed, interruptions, interval, extra
    int risk
    bint has_interval
    signed char barred  # by place in OFFER_ORDER, -1 for nothing


cdef double _never = NEVER_FINISHES_FACTOR, _exponent_limit = EXPONENT_LIMIT
cdef double _risk_rates[4]
cdef int _i
for _i in range(4):
    _risk_rates[_i] = RISK_RATES[_i]
if len(RISK_RATES) != 4:
    raise ImportError("there are more risk classes than this kernel knows")
cdef int _never_finishes = OFFER_ORDER.index(RejectionReason.NEVER_FINISHES)
cdef int _interruption_risk = OFFER_ORDER.index(RejectionReason.INTERRUPTION_RISK)
cdef int _deadline = OFFER_ORDER.index(RejectionReason.DEADLINE)
cdef double _wait = DEFAULT_WAIT_HOURS, _tick = DECISION_TICK_HOURS


cdef double _best(double hours, double mean, double scale, double write, double* interval, bint* has_interval):
    """Daly's interval, the mean, or no checkpoint, whichever is cheapest."""
    cdef double half = write / (2.0 * mean), billed, other, single
    has_interval[0] = False
    if half >= 1.0:
        interval[0] = mean
    else:
        interval[0] = sqrt(2.0 * write * mean) * (1.0 + sqrt(half) / 3.0 + half / 9.0) - write
    if interval[0] >= hours:
        return scale * expm1(hours / mean)
    billed = scale * expm1((interval[0] + write) / mean) * (hours / interval[0])
    if mean <= write and half < 1.0 and mean < hours:
        other = scale * expm1((mean + write) / mean) * (hours / mean)
        if other < billed:
            billed = other
            interval[0] = mean
    if hours < _exponent_limit * mean:
        single = scale * expm1(hours / mean)
        if single <= billed:
            return single
    has_interval[0] = True
    return billed


cdef void spot_terms(const Effort* work, double rate, SpotTerms* made):
    cdef double hours = work.hours, mean, scale, write, billed
    cdef double interval = -1.0 if work.is_service else work.interval
    made.rate = rate
    made.risk = 1
    while made.risk <= 4 and _risk_rates[made.risk - 1] <= rate:
        made.risk += 1
    made.has_interval = False
    made.barred = -1
    mean = 1.0 / rate if rate > 0.0 else INFINITY
    if hours <= 0.0:
        made.billed = made.interruptions = 0.0
    elif mean == INFINITY:
        made.interruptions = 0.0
        made.billed = hours
        if not work.is_service and work.write >= 0.0 and 0.0 < interval < hours:
            made.billed = hours * (1.0 + work.write / interval)
            made.interval = interval
            made.has_interval = True
    else:
        mean = mean / work.count
        scale = exp(work.restart / mean) if mean > 0.0 else INFINITY
        write = 0.0 if work.is_service else work.write
        if write < 0.0:
            billed = mean * scale * expm1(hours / mean)
        elif interval >= 0.0:
            if interval >= hours:
                billed = mean * scale * expm1(hours / mean)
            else:
                made.has_interval = True
                made.interval = interval
                if interval <= 0.0:
                    made.interval = 0.0
                    billed = INFINITY if write > 0.0 else scale * hours
                else:
                    billed = mean * scale * expm1((interval + write) / mean) * (hours / interval)
        elif write == 0.0:
            billed = scale * hours
            made.interval = 0.0
            made.has_interval = not work.is_service
        else:
            billed = _best(hours, mean, mean * scale, write, &made.interval, &made.has_interval)
        if not billed <= hours * _never:
            made.billed = INFINITY
            made.barred = _never_finishes
            return
        made.billed = hours if billed < hours else billed
        made.interruptions = made.billed / mean
    if made.interruptions > work.limit:
        made.barred = _interruption_risk
    elif work.left < INFINITY and (
        work.left - hours <= 2.0 * work.restart + _tick or made.billed + made.interruptions * _wait > work.left
    ):
        made.barred = _deadline
    made.extra = (made.billed - hours) * work.count / 1000.0
