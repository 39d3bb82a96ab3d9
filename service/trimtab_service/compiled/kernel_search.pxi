# Best first over cells, as `placement.search.Frontier` and `placement.fallbacks`.

cdef inline bint _before(const Pick* one, const Pick* other):
    """The order of candidates. Types of a region are numbered in the order of their names."""
    if one.cost != other.cost:
        return one.cost < other.cost
    if one.risk != other.risk:
        return one.risk < other.risk
    if one.price != other.price:
        return one.price < other.price
    if one.region != other.region:
        return one.region < other.region
    if one.t != other.t:
        return one.t < other.t
    return one.option < other.option


cdef inline SpotTerms* terms_at(Ask* ask, double rate):
    """What a rate comes to; the last ones asked for are kept."""
    cdef uint64_t bits
    cdef int at
    memcpy(&bits, &rate, 8)
    at = <int>((bits * <uint64_t>0x9E3779B97F4A7C15) >> 58)
    if not (ask.memo_used >> at & 1) or ask.memo[at].rate != rate:
        spot_terms(&ask.effort, rate, &ask.memo[at])
        ask.memo_used |= <uint64_t>1 << at
    return &ask.memo[at]


cdef inline double reread(const Ask* ask, const SpotTerms* terms, int region):
    """Micros of reading checkpoints again after interruptions, as `costs.reread_cost`."""
    return whole(terms.interruptions * ask.checkpoint_gib * <double>ask.store_nanos[region] / 1000.0)


cdef inline bint _matches(Catalog catalog, const Pattern* pattern, int t, int region, int option):
    return (
        pattern.options >> option & 1
        and (pattern.cloud < 0 or pattern.cloud == catalog.cloud_of[region])
        and (pattern.region < 0 or pattern.region == catalog.region_name[region])
        and (pattern.name < 0 or pattern.name == catalog.type_name[t])
    )


cdef inline bint _is_blocked(Catalog catalog, const Pattern* block, int t, int option):
    """As `_matches`, for a block of the region."""
    return block.options >> option & 1 and block.name == catalog.type_name[t]


cdef int barrier(Catalog catalog, const Ask* ask, const Offer* offer, int region, int option, unsigned int* zones):
    """What keeps an offer out of all its zones: 0 nothing, 1 the request, 2 reported failures. `zones` are those left
    by both when it is nothing."""
    cdef unsigned int listed = offer.zones, left = listed
    cdef bint out = False
    cdef int i, t = offer.t
    cdef const Pattern* one
    for i in range(ask.patterns):
        one = &ask.pattern[i]
        if _matches(catalog, one, t, region, option):
            if one.zones == NULL:
                out = True
            else:
                left &= ~<unsigned int>one.zones[region]
    if out or (listed and not left):
        return 1
    if ask.blocks != NULL:
        i = ask.first_block[region]
        while i >= 0:
            one = &ask.blocks[i]
            if _is_blocked(catalog, one, t, option):
                if one.zones == NULL:
                    out = True
                else:
                    left &= ~<unsigned int>one.zones[region]
            i = one.next
    zones[0] = left
    return 2 if out or (listed and not left) else 0


cdef inline double rate_of(Catalog catalog, const Ask* ask, const Offer* offer, int region, bint* own):
    """Interruptions per hour of a spot offer, and whether it is a learned one."""
    cdef double prior = _bucket_rates[offer.bucket]
    own[0] = ask.rates != NULL and is_learned(ask.rates, catalog.family_of[offer.t])
    if own[0]:
        return learned_rate(ask.rates, catalog.family_of[offer.t], offer.t * catalog.regions + region, prior)
    return prior


cdef int _price_basis = OFFER_ORDER.index(RejectionReason.PRICE_BASIS)
cdef int _price_stale = OFFER_ORDER.index(RejectionReason.PRICE_STALE)


cdef inline int price_reason(const Ask* ask, const Offer* offer):
    """Why a price may not be used, by place in OFFER_ORDER; -1 where it may."""
    if not ask.bases >> offer.basis & 1:
        return _price_basis
    return _price_stale if offer.as_of < ask.first_day else -1


cdef int _open(Catalog catalog, Ask* ask, int option, int region, double bound, int rank, Pick* best) except -1:
    """The best feasible offer of a cell into `best`: 1 when there is one, 0 when not, 2 for a cost too large.

    On demand the first that is large enough and not kept out. Interruptions may make a dearer spot offer the better
    one, so all in reach are looked at; of those at one of the catalogue's rates only the first counts, which costs
    least at the same risk. Blocks are looked up only for an offer that would be the best.
    """
    cdef int cell = option * catalog.regions + region
    cdef int k = catalog.cell_start[cell] + rank, end = catalog.cell_start[cell + 1]
    cdef int first = k, seen = 0, has = 0
    cdef const Offer* offer
    cdef unsigned int zones
    cdef double price, least, rest
    cdef bint own = False
    cdef bint blocked = ask.patterns or ask.blocks != NULL
    cdef SpotTerms* terms
    cdef Pick one
    one.region = region
    one.option = option
    one.risk = 0
    one.rate = -1.0
    rest = bound - whole(<double>catalog.offers[k].price * ask.factor)
    for k in range(first, end):
        offer = &catalog.offers[k]
        price = <double>offer.price
        least = rest + whole(price * ask.factor)
        if least > (best.cost if has else ask.most_cost):
            break
        if k > first and not ask.types_known:
            read_types(catalog, ask)
        if (k > first or not ask.simple) and not has_bit(ask.ok, offer.t):
            continue
        if ask.checks_prices and not price_reason(ask, offer) < 0:
            continue
        if option:
            if seen and seen >> offer.bucket & 1:
                if ask.rates == NULL or not is_learned(ask.rates, catalog.family_of[offer.t]):
                    continue
            one.rate = rate_of(catalog, ask, offer, region, &own)
            terms = terms_at(ask, one.rate)
            if terms.barred >= 0:
                if not own:
                    seen |= 1 << offer.bucket
                continue
            least += whole(price * terms.extra)
            if ask.store_nanos != NULL:
                least += reread(ask, terms, region)
            one.risk = terms.risk
        elif ask.effort.hours > ask.effort.left:
            return 0
        if not least < EXACT:
            return 2
        one.cost = least
        one.price = price
        one.t = offer.t
        one.k = k
        if least <= ask.most_cost and (not has or _before(&one, best)):
            if blocked and barrier(catalog, ask, offer, region, option, &zones):
                continue
            best[0] = one
            has = 1
            if not option:
                return 1
        if not own:
            seen |= 1 << offer.bucket
    return has


cdef bint more_zones(Catalog catalog, const Ask* ask, const Pick* pick):
    """Whether an offer may run in more than one zone."""
    cdef unsigned int zones = catalog.offers[pick.k].zones
    if ask.patterns or ask.blocks != NULL:
        barrier(catalog, ask, &catalog.offers[pick.k], pick.region, pick.option, &zones)
    return zones & (zones - 1) != 0


cdef void _set_bounds(Catalog catalog, Ask* ask):
    cdef int row, r, cell, regions = catalog.regions, size
    cdef double dearest
    cdef double* bounds
    cdef const double* prices
    ask.cells = ask.rows * regions
    memset(ask.offered, 0, sizeof(ask.offered))
    for r in range(regions):
        ask.done[r] = not has_bit(ask.allowed, r)
        ask.closed[r] = 0
    for row in range(ask.rows):
        bounds = ask.bounds + row * regions
        prices = ask.cheapest.price + ask.codes[row] * regions
        cost_row(bounds, prices, ask.egress, ask.factor, regions)
        for r in range(regions):
            if prices[r] < INFINITY:
                ask.offered[r >> 6] |= <uint64_t>1 << (r & 63)
            if ask.codes[row]:
                bounds[r] += ask.storage
            if ask.done[r]:
                bounds[r] = INFINITY
    size = (ask.cells + LANES - 1) // LANES * LANES
    for r in range(ask.cells, size):
        ask.bounds[r] = INFINITY
    lane_minima(ask.bounds, ask.lanes, size)
    # Offers are looked at one after the other, each somewhere else in memory: they are asked for all at once here.
    dearest = dearest_of(ask.lanes)
    for row in range(ask.rows):
        for r in range(regions):
            if ask.bounds[row * regions + r] <= dearest:
                cell = ask.codes[row] * regions + r
                fetch(&catalog.offers[catalog.cell_start[cell] + ask.cheapest.rank[cell]])
    ask.cells = size


cdef bint search(Catalog catalog, Ask* ask) except -1:
    """Finds the best offer and the places to fall back on, best first; false for costs that are too large."""
    cdef Pick best, spare
    cdef double bound
    cdef int regions = catalog.regions, wanted = 1, home = -1, least = -1
    cdef int i, r, row, region, cell, outcome
    cdef bint same_cloud = True, has_spare = False
    if ask.cheapest.price == NULL:
        memset(ask.offered, 0, sizeof(ask.offered))
        return True
    _set_bounds(catalog, ask)
    while ask.found < wanted:
        if ask.waits and ask.waiting[least].cost < least_of(ask.lanes):
            best = ask.waiting[least]
            ask.waits -= 1
            ask.waiting[least] = ask.waiting[ask.waits]
            least = 0
            for i in range(1, ask.waits):
                if _before(&ask.waiting[i], &ask.waiting[least]):
                    least = i
            region = best.region
            if ask.done[region]:
                continue
            ask.done[region] = 1
            if not ask.found:
                home = catalog.cloud_of[region]
                wanted += ask.fallbacks
                if ask.fallbacks and more_zones(catalog, ask, &best):
                    wanted -= 1
            elif same_cloud:
                same_cloud = catalog.cloud_of[region] == home
                if same_cloud and ask.fallbacks > 1 and ask.found == wanted - 1:
                    # The last fallback, and none in another cloud yet: the best of those, or else this one.
                    spare = best
                    has_spare = True
                    for r in range(regions):
                        if catalog.cloud_of[r] == home:
                            ask.done[r] = 1
                    continue
            ask.picks[ask.found] = best
            ask.found += 1
            continue
        cell = take_least(ask.bounds, ask.lanes, ask.cells, &bound)
        if cell < 0:
            if has_spare:
                ask.picks[ask.found] = spare
                ask.found += 1
            return True
        if bound >= EXACT:
            return False
        row = cell // regions
        region = cell % regions
        if ask.done[region]:
            continue
        outcome = _open(
            catalog, ask, ask.codes[row], region, bound, ask.cheapest.rank[ask.codes[row] * regions + region], &best
        )
        if outcome == 2:
            return False
        if not outcome:
            ask.closed[region] |= 1 << row
            ask.closed_cells += 1
            continue
        ask.waiting[ask.waits] = best
        if not ask.waits or _before(&best, &ask.waiting[least]):
            least = ask.waits
        ask.waits += 1
    return True
