# Regions that were not chosen, by reason, as `placement.rejections` counts them.

cdef object _not_offered = RejectionReason.NOT_OFFERED, _costlier = RejectionReason.COSTLIER
cdef int _by_request = OFFER_ORDER.index(RejectionReason.BLOCKED_BY_REQUEST)
cdef int _by_outcome = OFFER_ORDER.index(RejectionReason.BLOCKED_BY_OUTCOME)
cdef int _cost_limit = OFFER_ORDER.index(RejectionReason.COST_LIMIT)
cdef list _reasons = list(OFFER_ORDER)
cdef enum:
    MOST_REASONS = 32
if len(OFFER_ORDER) > MOST_REASONS:
    raise ImportError("there are more reasons than this kernel knows")


cdef tuple rejected_regions(Catalog catalog, Ask* ask, list counts):
    """Adds to what rules took: nothing offered, every offer rejected, all others costlier."""
    cdef int furthest[MOST_REASONS]
    cdef uint64_t left[REGION_WORDS]
    cdef int i, r, row, regions = catalog.regions, empty = 0, costlier, nothing
    cdef unsigned char offered
    memcpy(left, ask.allowed, sizeof(left))
    for i in range(ask.found):
        left[ask.picks[i].region >> 6] &= ~(<uint64_t>1 << (ask.picks[i].region & 63))
    costlier = count_bits(left, REGION_WORDS)
    keep_bits(left, ask.offered, REGION_WORDS)
    nothing = costlier - count_bits(left, REGION_WORDS)
    costlier -= nothing
    if ask.found:
        costlier += ask.found - 1
    if nothing:
        counts.append((_not_offered, nothing))
    if ask.closed_cells:
        memset(furthest, 0, sizeof(furthest))
        for r in range(regions):
            if not ask.closed[r] or not has_bit(left, r):
                continue
            offered = 0
            for row in range(ask.rows):
                if ask.cheapest.price[ask.codes[row] * regions + r] < INFINITY:
                    offered |= 1 << row
            if ask.closed[r] == offered:
                furthest[_furthest(catalog, ask, r)] += 1
                empty += 1
        for i in range(len(_reasons)):
            if furthest[i]:
                _add(counts, _reasons[i], furthest[i])
        costlier -= empty
    if costlier:
        counts.append((_costlier, costlier))
    return tuple(counts)


cdef void _add(list counts, object reason, int count):
    cdef int i
    for i in range(len(counts)):
        if (<tuple>counts[i])[0] is reason:
            counts[i] = (reason, (<tuple>counts[i])[1] + count)
            return
    counts.append((reason, count))


cdef int _furthest(Catalog catalog, Ask* ask, int region):
    """The reason that the furthest offer of a region got to, whose every offer was rejected."""
    cdef int row, option, i, code, furthest = 0
    cdef const uint64_t* types
    if not ask.types_known:
        read_types(catalog, ask)
    for row in range(ask.rows):
        option = ask.codes[row]
        types = catalog.cell_types + (option * catalog.regions + region) * catalog.type_words
        if not _any(types, types, catalog.type_words):
            continue
        code = -1
        for i in range(ask.steps):
            if not _any(types, ask.step_sets[i], catalog.type_words):
                code = ask.step_codes[i]
                break
        if code < 0 and not ask.checks_prices:
            code = _by_blocks(catalog, ask, region, option, types)
        if code < 0:
            return _furthest_scanned(catalog, ask, region)
        if code > furthest:
            furthest = code
    return furthest


cdef bint _any(const uint64_t* some, const uint64_t* others, int words):
    cdef int i
    for i in range(words):
        if some[i] & others[i]:
            return True
    return False


cdef int _by_blocks(Catalog catalog, Ask* ask, int region, int option, const uint64_t* types):
    """Which blocks of whole offers leave no type of a cell that is large enough; -1 when some are left."""
    cdef int word, t, i
    cdef uint64_t bits
    cdef bint by_request, by_outcome, asked = False
    for word in range(catalog.type_words):
        bits = types[word] & ask.ok[word]
        while bits:
            t = word * 64 + lowest_bit(bits)
            bits &= bits - 1
            by_request = False
            for i in range(ask.patterns):
                if ask.pattern[i].zones == NULL and _matches(catalog, &ask.pattern[i], t, region, option):
                    by_request = True
                    break
            if by_request:
                continue
            asked = True
            by_outcome = False
            i = ask.first_block[region] if ask.blocks != NULL else -1
            while i >= 0:
                if ask.blocks[i].zones == NULL and _is_blocked(catalog, &ask.blocks[i], t, option):
                    by_outcome = True
                    break
                i = ask.blocks[i].next
            if not by_outcome:
                return -1
    return _by_outcome if asked else _by_request


cdef int _furthest_scanned(Catalog catalog, Ask* ask, int region):
    """The last of the first reasons against each offer that is large enough: price, blocks, zones, time, cost."""
    cdef int row, option, cell, k, code, furthest = 0
    cdef const Offer* offer
    cdef unsigned int zones
    cdef bint own
    cdef double cost
    cdef SpotTerms* terms
    for row in range(ask.rows):
        option = ask.codes[row]
        cell = option * catalog.regions + region
        for k in range(catalog.cell_start[cell], catalog.cell_start[cell + 1]):
            offer = &catalog.offers[k]
            if not has_bit(ask.ok, offer.t):
                continue
            code = price_reason(ask, offer) if ask.checks_prices else -1
            if code < 0:
                code = barrier(catalog, ask, offer, region, option, &zones)
                code = _by_request if code == 1 else _by_outcome if code else -1
            cost = whole(<double>offer.price * ask.factor)
            if code < 0 and option:
                terms = terms_at(ask, rate_of(catalog, ask, offer, region, &own))
                code = terms.barred
                if code < 0:
                    cost += whole(<double>offer.price * terms.extra) + ask.storage
                    if ask.store_nanos != NULL:
                        cost += reread(ask, terms, region)
            elif code < 0 and ask.effort.hours > ask.effort.left:
                code = _deadline
            if code < 0 and cost + ask.egress[region] > ask.most_cost:
                code = _cost_limit
            if code > furthest:
                furthest = code
    return furthest
