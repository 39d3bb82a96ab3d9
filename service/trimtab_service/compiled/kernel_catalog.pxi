# One catalogue in the shapes that a search reads, and what is kept of it and of the projects that ask.

cdef class Held:
    """A C-contiguous array whose memory is read for as long as this object lives."""

    cdef object array
    cdef const void* data
    cdef Py_ssize_t size

    def __init__(self, array, str kind):
        if array.dtype.str != kind or not array.flags.c_contiguous:
            raise TypeError(f"an array is {array.dtype.str}, not contiguous {kind}")
        cdef Py_buffer view
        PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
        self.array = array
        self.data = view.buf
        self.size = view.len
        PyBuffer_Release(&view)


cdef bytes words_of(object number, int words):
    """A set that is kept as a number, as words of bits."""
    return number.to_bytes(words * 8, "little")


_same_rates = [RATE_OF_BUCKET.index(rate) for rate in RATE_OF_BUCKET]
"""The first bucket of the same rate: what is not published, the last, is held to be like the median."""
cdef double _bucket_rates[BUCKETS]
cdef int _b
for _b in range(BUCKETS):
    _bucket_rates[_b] = RATE_OF_BUCKET[_b]


cdef struct Offer:
    # All that a decision reads of an offer, in half a line of the cache.
    int64_t price
    PyObject* made  # its `Made`, borrowed from `Catalog.kept`; null until it was answered once
    int32_t as_of
    int16_t t
    uint16_t zones  # bits of those where it is listed
    signed char bucket  # the first of the same rate
    signed char basis


_OFFER = np.dtype(
    {
        "names": ["price", "made", "as_of", "t", "zones", "bucket", "basis"],
        "formats": ["<i8", "<u8", "<i4", "<i2", "<u2", "i1", "i1"],
        "itemsize": sizeof(Offer),
    },
    align=True,
)


cdef class Made:
    """What is answered of an offer, kept because it is answered again: it in its first two zones, and its notes."""

    cdef tuple offers, notes
    cdef int age  # that the notes are of


cdef class Catalog:
    """The arrays and names of one snapshot, and what was made of a project's state."""

    cdef object index
    cdef Rules last_rules
    cdef Sizes sizes
    cdef list held, kept, region_numbers, names, region_of_number, cloud_of_number
    cdef object packed
    cdef Offer* offers
    cdef Py_ssize_t offer_count
    cdef dict region_names, zone_rows, country_words, partition_words, family_numbers
    cdef dict kept_learned, kept_rules, zoned, zones_of, days
    cdef int regions, types, type_words, clouds, geographies, tiers, families
    cdef int first_region[MOST_CLOUDS + 1]  # [cloud]: regions are in the order of clouds
    cdef uint64_t every[REGION_WORDS]
    cdef uint64_t public[REGION_WORDS]
    cdef uint64_t by_cloud[MOST_CLOUDS][REGION_WORDS]
    cdef const int32_t* cell_start
    cdef const int8_t* cloud_of
    cdef const int8_t* geography
    cdef const int64_t* pair_nanos
    cdef const double* tier_from
    cdef const int64_t* tier_nanos
    cdef const int16_t* family_of  # [type]: of one cloud
    cdef const int16_t* type_name  # [type]: the same for types of one name
    cdef const int16_t* region_name
    cdef const uint64_t* cell_types  # [cell of on demand and spot]: types with an offer

    def __init__(self, index):
        snapshot, sets = index.snapshot, index.region_sets
        offers, egress = snapshot.offers, snapshot.egress
        self.index = index
        self.names = list(snapshot.type_names)
        self.regions, self.types = index.region_count, len(snapshot.type_names)
        self.type_words = (self.types + 63) // 64
        self.kept = []
        self.zones_of, self.days = {}, {}
        self.region_of_number = [region.name for region in snapshot.regions]
        self.cloud_of_number = [region.cloud for region in snapshot.regions]
        self.zoned, self.kept_learned, self.kept_rules, self.country_words = {}, {}, {}, {}
        self.last_rules = None
        self.sizes = Sizes(index, self.type_words, OPTION_COUNT * self.regions)
        self.geographies, self.tiers = egress.internet_tier_from_gib.shape[1:]
        families = [(snapshot.type_cloud(t), family) for t, family in enumerate(index.family_of)]
        self.family_numbers = {family: number for number, family in enumerate(dict.fromkeys(families))}
        self.families = len(self.family_numbers)
        arrays = (
            (offers.cell_start, "<i4"), (snapshot.region_cloud, "|i1"), (egress.region_geography, "|i1"),
            (egress.pair_nanos, "<i8"), (egress.internet_tier_from_gib, "<f8"), (egress.internet_tier_nanos, "<i8"),
            (np.array([self.family_numbers[family] for family in families], np.int16), "<i2"),
            (_first_of(self.names), "<i2"), (_first_of(self.region_of_number), "<i2"),
            (self._types_by_cell(offers), "|u1"),
        )
        self.held = [Held(array, kind) for array, kind in arrays]
        self.cell_start = <const int32_t*>(<Held>self.held[0]).data
        self.cloud_of = <const int8_t*>(<Held>self.held[1]).data
        self.geography = <const int8_t*>(<Held>self.held[2]).data
        self.pair_nanos = <const int64_t*>(<Held>self.held[3]).data
        self.tier_from = <const double*>(<Held>self.held[4]).data
        self.tier_nanos = <const int64_t*>(<Held>self.held[5]).data
        self.family_of = <const int16_t*>(<Held>self.held[6]).data
        self.type_name = <const int16_t*>(<Held>self.held[7]).data
        self.region_name = <const int16_t*>(<Held>self.held[8]).data
        self.cell_types = <const uint64_t*>(<Held>self.held[9]).data
        self.packed = Held(self._packed(snapshot), _OFFER.str)
        self.offers = <Offer*>(<Held>self.packed).data
        self._name_regions(snapshot, sets)

    def _packed(self, snapshot):
        """The offers on demand and on spot, which come first."""
        offers, starts = snapshot.offers, snapshot.offers.cell_start[: 2 * self.regions + 1]
        count = self.offer_count = starts[2 * self.regions]
        packed = np.zeros(count, _OFFER)
        packed["price"], packed["as_of"] = offers.price_nanos[:count], offers.as_of[:count]
        packed["t"], packed["basis"] = offers.type_index[:count], offers.basis[:count]
        packed["bucket"] = np.array(_same_rates, np.int8)[offers.bucket[:count]]
        regions = np.repeat(np.arange(2 * self.regions) % self.regions, np.diff(starts))
        packed["zones"] = snapshot.type_region_zones[packed["t"], regions]
        return packed

    def _types_by_cell(self, offers):
        cells = 2 * self.regions
        found = np.zeros((cells, self.type_words * 64), np.bool_)
        for cell in range(cells):
            found[cell, offers.type_index[offers.cell_start[cell] : offers.cell_start[cell + 1]]] = True
        return np.packbits(found, axis=1, bitorder="little")

    def _name_regions(self, snapshot, sets):
        cdef int c, size = REGION_WORDS * 8
        self.region_names = {name: self.region_of_number.index(name) for name in self.region_of_number}
        self.region_numbers = [
            {region.name: r for r, region in enumerate(snapshot.regions) if region.cloud is cloud} for cloud in CLOUDS
        ]
        self.zone_rows = {}
        for zone, places in self.index.zone_places.items():
            row = np.zeros(self.regions, np.uint16)
            for r, bit in places:
                row[r] = bit
            self.zone_rows[zone] = row.tobytes()
        self.partition_words = {
            name: words_of(found, REGION_WORDS) for name, found in sets.by_partition.items()
        }
        memcpy(self.every, PyBytes_AS_STRING(words_of(sets.all, REGION_WORDS)), size)
        memcpy(self.public, PyBytes_AS_STRING(words_of(sets.public, REGION_WORDS)), size)
        self.clouds = len(CLOUDS)
        for c in range(self.clouds + 1):
            self.first_region[c] = np.searchsorted(snapshot.region_cloud, c)
        for c, cloud in enumerate(CLOUDS):
            memcpy(self.by_cloud[c], PyBytes_AS_STRING(words_of(sets.by_cloud.get(cloud, 0), REGION_WORDS)), size)

    cdef int region_of(self, object key) except -2:
        """The number of a region by its key; -1 for a key that the catalogue does not know."""
        if type(key) is not RegionKey:
            return -1
        number = (<dict>self.region_numbers[cloud_code(slot(key, at_key_cloud))]).get(slot(key, at_key_region))
        return -1 if number is None else number

    cdef const uint64_t* of_countries(self, frozenset countries) except NULL:
        """Regions in any of the countries; the last lists are kept."""
        known = self.country_words.get(countries)
        if known is None:
            if len(self.country_words) >= 2_048:
                self.country_words.clear()
            known = words_of(self.index.region_sets.of_countries(countries), REGION_WORDS)
            self.country_words[countries] = known
        return <const uint64_t*>PyBytes_AS_STRING(<bytes>known)

    cdef Made made(self, int k, int region, int option):
        """What is answered of offer k."""
        cdef Py_ssize_t i
        cdef Made made
        if self.offers[k].made != NULL:
            return <Made>self.offers[k].made
        made = Made()
        made.age = -1
        zones = self.zones(region, self.offers[k].zones)
        first = self.chosen(k, region, option, (<tuple>zones[0])[0] if zones else "")
        made.offers = (first, in_zone(first, (<tuple>zones[1])[0])) if len(zones) > 1 else (first,)
        if len(self.kept) >= 65_536:
            for i in range(self.offer_count):
                self.offers[i].made = NULL
            self.kept = []
        self.kept.append(made)
        self.offers[k].made = <PyObject*>made
        return made

    cdef Rules rules(self, object policy):
        """What a policy says; the last are kept. None for one of another class."""
        if self.last_rules is not None and self.last_rules.policy is policy:
            return self.last_rules
        kept = self.kept_rules.get(id(policy))
        if kept is None:
            if type(policy) is not EffectivePolicy:
                return None
            while len(self.kept_rules) >= 256:
                self.kept_rules.pop(next(iter(self.kept_rules)), None)
            kept = self.kept_rules[id(policy)] = Rules(policy, self.index, self.type_words)
        self.last_rules = <Rules>kept
        return <Rules>kept

    cdef object chosen(self, int k, int region, int option, str zone):
        """Offer k in a zone, as `SearchIndex.offer`."""
        cdef const Offer* offer = &self.offers[k]
        day = self.days.get(offer.as_of)
        if day is None:
            day = self.days[offer.as_of] = day_of(offer.as_of)
        return _new(_chosen, (
            self.cloud_of_number[region], self.region_of_number[region], zone, self.names[offer.t], _option_of[option],
            offer.price, _basis_of[offer.basis], day,
        ))

    cdef tuple zones(self, int region, int bits):
        """Names of zones of a region, in order, each with its bit."""
        cdef int key = region << 16 | bits
        known = self.zones_of.get(key)
        if known is None:
            names = enumerate(self.index.zones_of_region[region])
            known = self.zones_of[key] = tuple([(name, 1 << i) for i, name in names if bits >> i & 1])
        return known

    cdef Learned learned(self, object state, object instant):
        """What a project has learned, with the blocks that hold at an instant; the last are kept."""
        cdef Learned found
        kept = self.kept_learned.get(id(state))
        if kept is None:
            while len(self.kept_learned) >= 64:
                self.kept_learned.pop(next(iter(self.kept_learned)), None)
            found = Learned()
            found.state = state
            if state.has_rates:
                found.rates = self._rates(state.rates)
            self._block(found, instant)
            self.kept_learned[id(state)] = found
            return found
        found = <Learned>kept
        if not found.since <= instant < found.until:
            self._block(found, instant)
        return found

    cdef Rates _rates(self, object book):
        """Of a book: that of a state with the same book, or what an earlier book of the project had, with what is new.

        The earlier one is then not kept any longer: nobody decides by it again, but for replays.
        """
        cdef Rates old
        cdef int tried = 0
        for key, kept in reversed(list(self.kept_learned.items())):
            old = (<Learned>kept).rates
            if old is None:
                continue
            if old.book is book:
                return old
            if tried < 16:
                tried += 1
                changes = book.since(old.book)
                if changes is not None:
                    self.kept_learned.pop(key, None)
                    return Rates(self, book, old, changes)
        return Rates(self, book, None, (list(book.families()), list(book.places())))

    cdef int _block(self, Learned found, object instant) except -1:
        cdef Pattern pattern
        cdef Blocks made
        active = found.state.active_blocks(instant)
        made = Blocks(active, self.regions) if active.blocks else None
        for block in active.blocks:
            if self.pattern(block.cloud, block.region, block.zone, block.instance_type, block.option, &pattern):
                pattern.region = (<dict>self.region_numbers[pattern.cloud]).get(block.region, -1)
                if pattern.region < 0 or (pattern.zones != NULL and not pattern.zones[pattern.region]):
                    continue
                pattern.next = made.first[pattern.region]
                made.first[pattern.region] = made.count
                made.patterns[made.count] = pattern
                made.count += 1
                made.ends.append(block.end_time)
        found.blocks, found.since, found.until = made, active.since, active.until
        return 0

    cdef bint pattern(self, cloud, str region, str zone, str name, option, Pattern* made) except -1:
        """Offers by their parts; false where nothing of the catalogue is meant."""
        made.cloud = made.region = made.name = -1
        made.zones = NULL
        made.next = -1
        if option is None:
            made.options = ALL_OPTIONS
        elif option is _on_demand:
            made.options = _on_demand_bits
        else:
            made.options = option_bits((option,))
        if cloud is not None:
            made.cloud = cloud_code(cloud)
        if region:
            number = self.region_names.get(region)
            if number is None:
                return False
            made.region = number
        if name:
            types = self.sizes.names.types.get(name)
            if types is None:
                return False
            made.name = self.type_name[(<const int32_t*>PyBytes_AS_STRING(<bytes>types))[0]]
        if zone:
            row = self.zone_rows.get(zone)
            if row is None:
                return False
            made.zones = <const uint16_t*>PyBytes_AS_STRING(<bytes>row)
        return True


cdef object in_zone(object offer, str zone):
    """An offer in another zone."""
    return _new(_chosen, (<tuple>offer)[:2] + (zone,) + (<tuple>offer)[3:])


cdef int cloud_code(object cloud) except -1:
    if cloud is _aws:
        return 0
    if cloud is _azure:
        return 1
    if cloud is _gcp:
        return 2
    return CLOUDS.index(cloud)


cdef int _on_demand_bits = option_bits((PurchaseOption.ON_DEMAND,))
cdef object _aws = CLOUDS[0], _azure = CLOUDS[1], _gcp = CLOUDS[2]


cdef object _first_of(list names):
    """[i] the first place of the same name."""
    places = {}
    return np.array([places.setdefault(name, i) for i, name in enumerate(names)], np.int16)
