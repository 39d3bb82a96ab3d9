# One request in the shapes that a search reads, field by field as `placement.question` has them.

cdef struct Pick:
    double cost, price, rate  # rate below 0: nothing interrupts it
    int risk, region, t, option, k


cdef struct Ask:
    Effort effort
    double factor, storage
    double checkpoint_gib
    const int64_t* store_nanos  # [region] per GiB from where checkpoints are kept, null unless they are read again
    int codes[2]
    int rows, cells, fallbacks, option_bits
    Rows cheapest
    bint checks_prices
    uint32_t bases  # bits of codes of bases that may be used
    int first_day  # that a price may be of
    double most_cost
    bint simple  # the cheapest offer of a cell needs no further look
    bint types_known, has_extra
    const uint64_t* policy_types
    uint64_t ok[TYPE_WORDS]
    int steps
    int step_codes[MOST_STEPS]
    uint64_t step_sets[MOST_STEPS][TYPE_WORDS]
    int patterns
    Pattern pattern[MOST_PATTERNS]
    const Pattern* blocks
    const int* first_block
    const RateTable* rates
    PyObject* work
    uint64_t allowed[REGION_WORDS]
    uint64_t offered[REGION_WORDS]
    double egress[MOST_REGIONS]
    unsigned char done[MOST_REGIONS]
    unsigned char closed[MOST_REGIONS]  # bits of rows that were opened in vain
    int closed_cells
    uint64_t memo_used
    SpotTerms memo[MEMO]
    double bounds[MOST_CELLS]
    double lanes[LANES]
    double mixed_prices[4 * MOST_REGIONS]
    int16_t mixed_ranks[4 * MOST_REGIONS]
    int found
    Pick picks[MOST_PICKS]
    int waits
    Pick waiting[MOST_CELLS]


cdef object _on_demand = PurchaseOption.ON_DEMAND, _spot = PurchaseOption.SPOT
cdef object _owned = PurchaseOption.OWNED_COMMITMENT


cdef bint read_work(Ask* ask, object query, object work, object state, Rules rules, int today) except -1:
    """Reads the plain numbers; whether all that is asked is known."""
    cdef int code, options = 0
    if (
        type(work) is not Workload
        or is_set(work, at_current)
        or is_set(work, at_users)
        or slot(work, at_services)
        or slot(work, at_quotas)
        or slot(work, at_caller_offers)
        or slot(work, at_month_to_date)
        or slot(work, at_spread) > 1
        or (slot(work, at_tolerance) if is_set(work, at_tolerance) else rules.tolerance)
    ):
        return False
    ask.fallbacks = slot(query, at_fallbacks)
    if ask.fallbacks > MOST_PICKS - 2:
        return False
    for option in <tuple?>slot(work, at_options):
        if rules.options is not None and option not in rules.options:
            continue
        if option is _on_demand:
            options |= 1
        elif option is _spot:
            options |= 2
        elif option is not _owned or slot(state, at_rooms).has_commitments:
            return False
    ask.rows = 0
    ask.option_bits = options
    for code in range(2):
        if options >> code & 1:
            ask.codes[ask.rows] = code
            ask.rows += 1
    if not ask.rows:
        return False
    ask.work = <PyObject*>work
    ask.effort.hours = slot(work, at_hours)
    ask.effort.count = slot(work, at_count)
    ask.effort.is_service = slot(work, at_is_service)
    ask.factor = ask.effort.hours * ask.effort.count / 1000.0
    ask.bases = rules.bases if slot(work, at_estimated) else rules.bases & ~_estimates
    ask.first_day = 0 if rules.days < 0 else today - rules.days
    ask.checks_prices = ask.bases != <uint32_t>-1 or rules.days >= 0
    ask.most_cost = rules.most_cost
    ask.types_known = False
    ask.memo_used = 0
    ask.closed_cells = ask.found = ask.waits = 0
    return True


cdef bint _read_interruption(Catalog catalog, Ask* ask, object work, Rules rules) except -1:
    cdef object interruption = slot(work, at_interruption), value
    cdef double months
    cdef int r
    if type(interruption) is not Interruption:
        return False
    value = slot(interruption, at_write)
    ask.effort.write = -1.0 if value is None else value
    value = slot(interruption, at_interval)
    ask.effort.interval = -1.0 if value is None else value
    ask.effort.restart = slot(interruption, at_restart)
    value = slot(interruption, at_most_interruptions)
    ask.effort.limit = rules.most_interruptions
    if value is not None and <double>value < ask.effort.limit:
        ask.effort.limit = value
    ask.checkpoint_gib = slot(interruption, at_checkpoint)
    ask.storage = 0.0
    ask.store_nanos = NULL
    value = slot(interruption, at_store)
    if value is not None and ask.checkpoint_gib > 0.0:
        r = catalog.region_of(value)
        if r < 0:
            return False
        ask.store_nanos = catalog.pair_nanos + r * catalog.regions
    value = slot(interruption, at_storage_rate)
    if ask.effort.write >= 0.0 and value:
        months = 1.0 if ask.effort.is_service else ask.effort.hours / <double>slot(work, at_hours_per_month)
        ask.storage = whole(ask.checkpoint_gib * <double>value * months / 1000.0)
        if not ask.storage < EXACT:
            return False
    return True


cdef void _take(Catalog catalog, Ask* ask, const uint64_t* allowed, object reason, list counts):
    """Keeps the regions that a rule allows, and counts those that it took."""
    cdef int before = count_bits(ask.allowed, REGION_WORDS), after
    keep_bits(ask.allowed, allowed, REGION_WORDS)
    after = count_bits(ask.allowed, REGION_WORDS)
    if after < before:
        counts.append((reason, before - after))


cdef object _partition = RejectionReason.PARTITION_NOT_ALLOWED, _cloud_out = RejectionReason.CLOUD_NOT_ALLOWED
cdef object _region_out = RejectionReason.REGION_NOT_ALLOWED, _residency = RejectionReason.RESIDENCY
cdef object _policy = RejectionReason.POLICY


cdef list read_places(Catalog catalog, Ask* ask, object work, Rules rules):
    """Reads which regions are left, as `permits.region_permits`; counts of those taken by reason, None if not known."""
    cdef uint64_t some[REGION_WORDS]
    cdef list counts = []
    cdef int i, r, before
    cdef const uint64_t* words
    memcpy(ask.allowed, catalog.public, sizeof(some))
    for name in <frozenset?>slot(work, at_partitions):
        known = catalog.partition_words.get(name)
        if known is not None:
            words = <const uint64_t*>PyBytes_AS_STRING(<bytes>known)
            for i in range(REGION_WORDS):
                ask.allowed[i] |= words[i]
    before = catalog.regions - count_bits(ask.allowed, REGION_WORDS)
    if before:
        counts.append((_partition, before))
    residency = slot(work, at_residency)
    if residency is not None:
        if type(residency) is not Residency:
            return None
        _keep_residency(catalog, ask, residency, counts)
    if rules.regions is not None:
        _take(catalog, ask, <const uint64_t*>PyBytes_AS_STRING(rules.regions), _policy, counts)
    if rules.tags and not rules.tags <= {name for name, _ in slot(work, at_tags)}:
        memset(some, 0, sizeof(some))
        _take(catalog, ask, some, _policy, counts)
    return counts


cdef int _keep_residency(Catalog catalog, Ask* ask, object residency, list counts) except -1:
    cdef uint64_t some[REGION_WORDS]
    cdef const uint64_t* words
    cdef int i, r
    chosen, denied = <frozenset?>slot(residency, at_clouds), <frozenset?>slot(residency, at_no_clouds)
    if chosen or denied:
        memset(some, 0 if chosen else 255, sizeof(some))
        for cloud in <frozenset>chosen:
            words = catalog.by_cloud[cloud_code(cloud)]
            for i in range(REGION_WORDS):
                some[i] |= words[i]
        for cloud in <frozenset>denied:
            words = catalog.by_cloud[cloud_code(cloud)]
            for i in range(REGION_WORDS):
                some[i] &= ~words[i]
        _take(catalog, ask, some, _cloud_out, counts)
    chosen, denied = <frozenset?>slot(residency, at_regions), <frozenset?>slot(residency, at_no_regions)
    if chosen or denied:
        memset(some, 0 if chosen else 255, sizeof(some))
        for key in <frozenset>chosen:
            r = catalog.region_of(key)
            if r >= 0:
                some[r >> 6] |= <uint64_t>1 << (r & 63)
        for key in <frozenset>denied:
            r = catalog.region_of(key)
            if r >= 0:
                some[r >> 6] &= ~(<uint64_t>1 << (r & 63))
        _take(catalog, ask, some, _region_out, counts)
    chosen, denied = <frozenset?>slot(residency, at_countries), <frozenset?>slot(residency, at_no_countries)
    if chosen or denied:
        memset(some, 255, sizeof(some))
        if chosen:
            memcpy(some, catalog.of_countries(chosen), sizeof(some))
        if denied:
            words = catalog.of_countries(denied)
            for i in range(REGION_WORDS):
                some[i] &= ~words[i]
        _take(catalog, ask, some, _residency, counts)
    return 0


cdef bint read_patterns(Catalog catalog, Ask* ask, object work) except -1:
    """Reads the request's own blocks."""
    blocked = <tuple?>slot(work, at_blocked)
    ask.patterns = 0
    if len(blocked) > MOST_PATTERNS:
        return False
    for one in blocked:
        if type(one) is not OfferPattern:
            return False
        if catalog.pattern(
            slot(one, at_pattern_cloud), slot(one, at_pattern_region), slot(one, at_pattern_zone),
            slot(one, at_pattern_type), slot(one, at_pattern_option), &ask.pattern[ask.patterns],
        ):
            ask.patterns += 1
    return True


cdef bint read_egress(Catalog catalog, Ask* ask, object work) except -1:
    """Sums what reading the data sets costs in each region, as `EgressRates.reads`."""
    cdef double by_geography[MOST_GEOGRAPHIES]
    cdef int sources[MOST_READS]
    cdef int reached[MOST_READS]
    cdef double sizes[MOST_READS]
    cdef int i, c, g, own, source, private_clouds, at, first, count, seen = 0
    cdef double gib, start, known_start, private
    data_sets = <tuple?>slot(work, at_data_sets)
    if len(data_sets) > MOST_READS:
        return False
    memset(ask.egress, 0, catalog.regions * sizeof(double))
    for data in data_sets:
        if type(data) is not DataSet:
            return False
        source = catalog.region_of(slot(data, at_location))
        if source < 0:
            return False
        gib = <double>slot(data, at_gib) * <double>slot(data, at_reads)
        private_clouds = 0
        private = 0.0
        if is_set(data, at_private):
            private = whole(<double>slot(data, at_private) * (gib / 1000.0))
            for cloud in <tuple?>slot(data, at_private_clouds) or CLOUDS:
                private_clouds |= 1 << cloud_code(cloud)
        own = catalog.cloud_of[source]
        known_start = -1.0
        for c in range(catalog.clouds):
            first = catalog.first_region[c]
            count = catalog.first_region[c + 1] - first
            if private_clouds >> c & 1:
                add_same(ask.egress + first, private, count)
                if c == own:
                    ask.egress[source] -= private
                continue
            if c == own:
                at = source * catalog.regions + first
                add_pairs(ask.egress + first, catalog.pair_nanos + at, gib / 1000.0, count)
                continue
            start = 0.0
            for i in range(seen):
                if sources[i] == source and not reached[i] >> c & 1:
                    start += sizes[i]
            if start != known_start:
                known_start = start
                for g in range(catalog.geographies):
                    at = (source * catalog.geographies + g) * catalog.tiers
                    by_geography[g] = tiered(catalog.tier_from + at, catalog.tier_nanos + at, catalog.tiers, start, gib)
            add_by_geography(ask.egress + first, by_geography, catalog.geography + first, count)
        sources[seen] = source
        reached[seen] = private_clouds
        sizes[seen] = gib
        seen += 1
    return True


cdef bint read_sizes(Catalog catalog, Ask* ask, object work, Rules rules) except -1:
    """Reads the size and what is to be known of types; whether the search can take it from here."""
    cdef object size = slot(work, at_size), residency = slot(work, at_residency)
    if type(size) is not Size or not _read_interruption(catalog, ask, work, rules):
        return False
    ask.policy_types = NULL if rules.types is None else <const uint64_t*>PyBytes_AS_STRING(rules.types)
    ask.has_extra = (
        ask.policy_types != NULL or is_set(size, at_type)
        or <double>slot(size, at_disk) > 0.0 or <double>slot(size, at_network) > 0.0
    )
    if residency is not None:
        ask.has_extra = ask.has_extra or (
            slot(residency, at_families) or slot(residency, at_no_families)
            or slot(residency, at_types) or slot(residency, at_no_types)
        )
    if ask.has_extra and not read_types(catalog, ask):
        return False
    catalog.sizes.cheapest(size, &ask.cheapest, ask.mixed_prices, ask.mixed_ranks)
    ask.simple = (
        ask.cheapest.exact and not ask.has_extra and not ask.patterns and ask.blocks == NULL and not ask.checks_prices
    )
    if not ask.simple and not ask.types_known:
        return read_types(catalog, ask)
    return True


cdef int _policy_step = OFFER_ORDER.index(RejectionReason.POLICY)
cdef int _family_step = OFFER_ORDER.index(RejectionReason.FAMILY_NOT_ALLOWED)
cdef int _type_step = OFFER_ORDER.index(RejectionReason.TYPE_NOT_ALLOWED)
cdef int _gpu_step = OFFER_ORDER.index(RejectionReason.GPU_MISMATCH)
cdef int _size_step = OFFER_ORDER.index(RejectionReason.TOO_SMALL)
cdef int _arch_step = OFFER_ORDER.index(RejectionReason.ARCH_MISMATCH)
cdef int _disk_step = OFFER_ORDER.index(RejectionReason.DISK_TOO_SMALL)
cdef int _network_step = OFFER_ORDER.index(RejectionReason.NETWORK_TOO_SLOW)


cdef inline void _step(Ask* ask, int code, int words):
    ask.step_codes[ask.steps] = code
    memcpy(ask.step_sets[ask.steps], ask.ok, words * 8)
    ask.steps += 1


cdef bint read_types(Catalog catalog, Ask* ask) except -1:
    """Sets of types after each rule, in the order in which rules reject; false where so few are left by what size
    tables do not know that the engine gathers their offers."""
    cdef object work = <object>ask.work
    cdef object size = slot(work, at_size), residency = slot(work, at_residency), named = slot(size, at_type)
    cdef object arch = slot(size, at_arch)
    cdef uint64_t extra[TYPE_WORDS]
    cdef uint64_t chosen[TYPE_WORDS]
    cdef Sizes sizes = catalog.sizes
    cdef int words = catalog.type_words
    cdef double disk = slot(size, at_disk), network = slot(size, at_network)
    ask.types_known = True
    ask.steps = 0
    memcpy(ask.ok, PyBytes_AS_STRING(sizes.every), words * 8)
    if ask.policy_types != NULL:
        keep_bits(ask.ok, ask.policy_types, words)
        _step(ask, _policy_step, words)
    if residency is not None:
        if sizes.families.change(slot(residency, at_families), slot(residency, at_no_families), ask.ok, words):
            _step(ask, _family_step, words)
        if sizes.names.change(slot(residency, at_types), slot(residency, at_no_types), ask.ok, words):
            _step(ask, _type_step, words)
    if named:
        memset(chosen, 0, words * 8)
        sizes.names.put(named, chosen, True)
        keep_bits(ask.ok, chosen, words)
        _step(ask, _type_step, words)
    memcpy(extra, ask.ok, words * 8)
    sizes.with_gpus(size, ask.ok)
    _step(ask, _gpu_step, words)
    keep_bits(ask.ok, sizes.vcpus.of(slot(size, at_vcpus)), words)
    keep_bits(ask.ok, sizes.memory.of(slot(size, at_memory)), words)
    _step(ask, _size_step, words)
    if arch is not None:
        known = sizes.by_arch.get(arch)
        if known is None:
            memset(ask.ok, 0, words * 8)
        else:
            keep_bits(ask.ok, <const uint64_t*>PyBytes_AS_STRING(<bytes>known), words)
        _step(ask, _arch_step, words)
    if disk > 0.0:
        keep_bits(ask.ok, sizes.disk.of(disk), words)
        keep_bits(extra, sizes.disk.of(disk), words)
        _step(ask, _disk_step, words)
    if network > 0.0:
        keep_bits(ask.ok, sizes.network.of(network), words)
        keep_bits(extra, sizes.network.of(network), words)
        _step(ask, _network_step, words)
    return not ask.has_extra or count_bits(extra, words) > FEW_TYPES
