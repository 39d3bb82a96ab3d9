# What was found, as the domain's tuples: `placement.answer` and `engine.valid_until`.

_FORMS = (
    (Placement, "offer terms billed_hours expected_interruptions risk zones checkpoint_interval_hours price_age_days "
                "commitments covered_instances latency_ms draws"),
    (ChosenOffer, "cloud region zone instance_type option nanos_per_hour basis as_of"),
    (CostTerms, "compute interruption egress storage moving preference"),
    (Fallback, "placement differs_by"),
    (Decision, "verdict chosen fallbacks rejected_regions valid_until notes relaxations explanation "
               "approval_required_by"),
)
for _kind, _names in _FORMS:
    if _kind._fields != tuple(_names.split()):
        raise ImportError(f"the fields of {_kind.__name__} are others than this kernel makes")

cdef object _new = tuple.__new__
cdef object _chosen = ChosenOffer, _placement = Placement, _terms = CostTerms
cdef object _fallback = Fallback, _decision = Decision
cdef object _placed = Verdict.PLACED, _infeasible = Verdict.INFEASIBLE
cdef object _zone = FailureDomain.ZONE, _region = FailureDomain.REGION, _cloud = FailureDomain.CLOUD
cdef object _zero = 0.0
cdef list _option_of = list(OPTION_OF_CODE), _basis_of = list(PRICE_BASES)
cdef list _basis_words = [basis.meaning for basis in PRICE_BASES]
cdef tuple _nothing = ()
cdef str _offer_words = OFFER_WORDS, _basis_note = BASIS_NOTE, _age_note = AGE_NOTE
cdef int _stale_after = STALE_AFTER_DAYS, _list_price = PRICE_BASES.index(PriceBasis.LIST)
cdef int _epoch_ordinal = EPOCH.toordinal()


cdef object answer(
    Catalog catalog, Ask* ask, object work, list counts, Rules rules, Rates rates, Blocks blocks, int today,
    object instant, object valid,
):
    cdef int i, clouds = 0, bit
    cdef tuple offers
    cdef list fallbacks = []
    cdef object chosen = None, verdict = _infeasible
    cdef tuple notes = slot(work, at_readings)
    rejected = rejected_regions(catalog, ask, counts)
    until = instant + valid
    if blocks is not None:
        until = _until(catalog, ask, blocks, until)
    for i in range(ask.found):
        offers = _offers(catalog, ask, &ask.picks[i], rates)
        place = _place(catalog, ask, &ask.picks[i], offers[0], today)
        bit = 1 << catalog.cloud_of[ask.picks[i].region]
        if not i:
            chosen, verdict = place, _placed
            notes = _notes(catalog, notes, chosen, &ask.picks[0])
            if ask.fallbacks and len(offers) > 1:
                fallbacks.append(_new(_fallback, (_new(_placement, offers[1:2] + (<tuple>place)[1:]), _zone)))
        else:
            fallbacks.append(_new(_fallback, (place, _region if clouds & bit else _cloud)))
        clouds |= bit
    if chosen is not None and ask.effort.hours < ask.effort.left < INFINITY:
        slack = ask.effort.left - ask.effort.hours
        if slack * 3600.0 < valid.total_seconds():
            until = min(until, instant + timedelta(hours=slack))
    return _new(_decision, (
        verdict, chosen, tuple(fallbacks), rejected, until, notes, _nothing, None, _approval(rules.policy, chosen),
    ))


cdef str _approval(object policy, object chosen):
    """As `engine._approval`."""
    threshold = slot(policy, at_approval)
    if threshold is None or chosen is None or not chosen.terms.total > threshold:
        return ""
    return slot(policy, at_approval_source)


cdef object _place(Catalog catalog, Ask* ask, const Pick* pick, object offer, int today):
    cdef int age = today - catalog.offers[pick.k].as_of
    cdef double egress = ask.egress[pick.region]
    cdef SpotTerms* terms
    cdef object compute = <int64_t>whole(pick.price * ask.factor)
    if age < 0:
        age = 0
    if pick.rate < 0.0:
        return _new(_placement, (
            offer, _new(_terms, (compute, 0, <int64_t>egress, 0, 0, 0)), ask.effort.hours, _zero, 0, _nothing, None,
            age, _nothing, _zero, _zero, _nothing,
        ))
    terms = terms_at(ask, pick.rate)
    if ask.store_nanos != NULL:
        egress += reread(ask, terms, pick.region)
    return _new(_placement, (
        offer,
        _new(_terms, (
            compute, <int64_t>whole(pick.price * terms.extra), <int64_t>egress, <int64_t>ask.storage, 0, 0,
        )),
        terms.billed, terms.interruptions, terms.risk, _nothing, terms.interval if terms.has_interval else None, age,
        _nothing, _zero, _zero, _nothing,
    ))


cdef tuple _offers(Catalog catalog, Ask* ask, const Pick* pick, Rates rates):
    """An offer in the zones where it may run, the best first; in the first two of them at least."""
    cdef unsigned int listed = catalog.offers[pick.k].zones, zones = listed
    cdef bint own = rates is not None and pick.option and is_learned(ask.rates, catalog.family_of[pick.t])
    cdef list found
    if listed & (listed - 1) == 0:
        return catalog.made(pick.k, pick.region, pick.option).offers
    if ask.patterns or ask.blocks != NULL:
        barrier(catalog, ask, &catalog.offers[pick.k], pick.region, pick.option, &zones)
    if zones == listed and not own:
        return catalog.made(pick.k, pick.region, pick.option).offers
    found = []
    for name, bit in _zones(catalog, ask, pick, rates if own else None):
        if zones & <unsigned int>bit:
            key = (pick.k, name)
            offer = catalog.zoned.get(key)
            if offer is None:
                if len(catalog.zoned) >= 65_536:
                    catalog.zoned.clear()
                offer = catalog.zoned[key] = catalog.chosen(pick.k, pick.region, pick.option, name)
            found.append(offer)
            if len(found) == 2:
                break
    return tuple(found)


cdef object _zones(Catalog catalog, const Ask* ask, const Pick* pick, Rates rates):
    """Zones that offer a type with their bits: by name, or the safest first where something was learned of them."""
    cdef int32_t place = pick.t * catalog.regions + pick.region
    cdef tuple zones = catalog.zones(pick.region, catalog.offers[pick.k].zones)
    if rates is None or not knows_place(ask.rates, place):
        return zones
    known = rates.zones.get(pick.k)
    if known is not None:
        return known
    cloud, region = catalog.cloud_of_number[pick.region], catalog.region_of_number[pick.region]
    family, name = catalog.index.family_of[pick.t], catalog.names[pick.t]
    prior, rate = _bucket_rates[catalog.offers[pick.k].bucket], rates.book.rate
    by_rate = sorted([(rate(cloud, family, region, name, zone, prior), i) for i, (zone, _) in enumerate(zones)])
    known = rates.zones[pick.k] = tuple([zones[i] for _, i in by_rate])
    return known


cdef tuple _notes(Catalog catalog, tuple readings, object chosen, const Pick* pick):
    """As `answer.price_notes`; what is said of an offer's price is kept for the day."""
    cdef int age = (<tuple>chosen)[7]
    cdef Made made
    if age <= _stale_after and catalog.offers[pick.k].basis == _list_price:
        return readings
    made = catalog.made(pick.k, pick.region, pick.option)
    if made.age != age:
        what = _offer_words % (
            catalog.names[pick.t], catalog.cloud_of_number[pick.region], catalog.region_of_number[pick.region],
        )
        made.notes = ()
        if catalog.offers[pick.k].basis != _list_price:
            made.notes = (_basis_note % (what, _basis_words[catalog.offers[pick.k].basis]),)
        if age > _stale_after:
            made.notes += (_age_note % (what, age),)
        made.age = age
    return readings + made.notes if readings else made.notes


cdef object _until(Catalog catalog, Ask* ask, Blocks blocks, object until):
    """When to ask again: before a block ends that keeps out what would do."""
    cdef int i, region
    cdef Py_ssize_t j
    cdef const int32_t* types
    for i in range(blocks.count):
        end = blocks.ends[i]
        if not end < until:
            break
        region = blocks.patterns[i].region
        if not blocks.patterns[i].options & ask.option_bits or not has_bit(ask.allowed, region):
            continue
        if not ask.types_known:
            read_types(catalog, ask)
        held = <bytes>catalog.sizes.names.types[catalog.names[blocks.patterns[i].name]]
        types = <const int32_t*>PyBytes_AS_STRING(held)
        for j in range(len(held) // 4):
            if has_bit(ask.ok, types[j]):
                return end
    return until
