# What keeps offers out, and what was learned of them: blocks of a request, reported failures, and rates.

cdef class Rules:
    """What a policy says, as far as the kernel knows it."""

    cdef object policy
    cdef bytes regions, types  # words of those that residencies leave; None: all
    cdef object options  # None: all
    cdef frozenset tags
    cdef uint32_t bases  # bits of codes
    cdef int days  # a price may be old, -1 for any age
    cdef double most_interruptions, most_cost, tolerance

    def __init__(self, policy, index, int words):
        self.policy = policy
        self.regions = self.types = None
        if policy.residencies:
            regions, types = policy_permits(index, policy)
            self.regions = words_of(regions, REGION_WORDS)
            self.types = None if types is None else words_of(types, words)
        self.options, self.tags = policy.options, policy.required_tags
        self.bases = <uint32_t>-1
        if policy.price_bases is not None:
            self.bases = sum([1 << PRICE_BASES.index(basis) for basis in policy.price_bases])
        self.days = -1 if policy.max_price_age is None else policy.max_price_age.days
        limit = policy.max_expected_interruptions
        self.most_interruptions = INFINITY if limit is None else limit
        self.most_cost = INFINITY if policy.max_cost_micros is None else policy.max_cost_micros
        self.tolerance = policy.tolerance_fraction


cdef uint32_t _estimates = sum([1 << code for code, basis in enumerate(PRICE_BASES) if basis.is_estimate])


cdef struct Pattern:
    # Offers by their parts; -1 is any. `zones` [region] are the bits of a zone, null for whole offers. Of `Blocks`,
    # `region` is a region and not a name of regions.
    int cloud, region, name, options
    const uint16_t* zones
    int next  # of `Blocks`


cdef class Blocks:
    """Reported failures that hold, by when they end; made once for as long as they are the same."""

    cdef object active
    cdef Pattern* patterns
    cdef int* first  # [region]: the first of its patterns, and from there `next`; -1 for none
    cdef list ends  # of the patterns, ascending
    cdef int count

    def __init__(self, active, int regions):
        cdef int r
        self.active = active
        self.ends = []
        self.patterns = <Pattern*>malloc((len(active.blocks) + 1) * sizeof(Pattern))
        self.first = <int*>malloc(regions * sizeof(int))
        if self.patterns == NULL or self.first == NULL:
            raise MemoryError
        for r in range(regions):
            self.first[r] = -1

    def __dealloc__(self):
        free(self.patterns)
        free(self.first)


cdef struct Place:
    int32_t key  # type * regions + region, -1 for a free place
    double interruptions, hours


cdef struct RateTable:
    const double* families  # [family]: interruptions, hours; hours below 0 where nothing is known
    const Place* places  # found by a hash of the key
    uint32_t mask


cdef double _prior_hours = PRIOR_HOURS


cdef inline uint32_t _hash(int32_t key):
    cdef uint32_t mixed = <uint32_t>key * <uint32_t>2654435769
    return mixed ^ (mixed >> 15)


cdef inline bint is_learned(const RateTable* table, int family):
    return table.families[2 * family + 1] >= 0.0


cdef bint knows_place(const RateTable* table, int32_t key):
    """Whether there is evidence of a type in a region."""
    cdef uint32_t at = _hash(key) & table.mask
    while table.places[at].key >= 0:
        if table.places[at].key == key:
            return True
        at = (at + 1) & table.mask
    return False


cdef double learned_rate(const RateTable* table, int family, int32_t key, double prior):
    """As `RateBook.rate` of a region as a whole, for a family that it knows."""
    cdef double interruptions = table.families[2 * family], hours = table.families[2 * family + 1], rate
    cdef uint32_t at = _hash(key) & table.mask
    cdef const Place* place
    while True:
        place = &table.places[at]
        if place.key < 0:
            return (prior * _prior_hours + interruptions) / (_prior_hours + hours)
        if place.key == key:
            break
        at = (at + 1) & table.mask
    rate = (prior * _prior_hours + (interruptions - place.interruptions)) / (_prior_hours + (hours - place.hours))
    return (rate * _prior_hours + place.interruptions) / (_prior_hours + place.hours)


cdef class Rates:
    """What a `RateBook` knows, by family, and by type and region."""

    cdef object book
    cdef RateTable table
    cdef double* families
    cdef Place* places
    cdef int family_count, used
    cdef dict zones  # by offer: its zones, the safest first, each with its bit

    def __init__(self, Catalog catalog, book, Rates old, changes):
        """`changes` are what the book says more than that of `old`; without one all that it says."""
        cdef uint32_t size = 16, at
        self.book = book
        self.zones = {}
        self.family_count, self.used = catalog.families, 0
        families, places = changes
        while size < 2 * len(places) + (2 * old.used if old is not None else 0):
            size *= 2
        self.families = <double*>malloc(self.family_count * 2 * sizeof(double))
        self.places = <Place*>malloc(size * sizeof(Place))
        if self.families == NULL or self.places == NULL:
            raise MemoryError
        self.table.families, self.table.places, self.table.mask = self.families, self.places, size - 1
        if old is None:
            for at in range(<uint32_t>self.family_count):
                self.families[2 * at + 1] = -1.0
        else:
            memcpy(self.families, old.families, self.family_count * 2 * sizeof(double))
        if old is not None and old.table.mask == self.table.mask:
            memcpy(self.places, old.places, size * sizeof(Place))
            self.used = old.used
        else:
            for at in range(size):
                self.places[at].key = -1
            if old is not None:
                for at in range(old.table.mask + 1):
                    if old.places[at].key >= 0:
                        self.put(old.places[at].key, old.places[at].interruptions, old.places[at].hours)
        for family, (interruptions, hours) in families:
            number = catalog.family_numbers.get(family)
            if number is not None:
                at = number
                self.families[2 * at] = interruptions
                self.families[2 * at + 1] = hours
        regions, types = catalog.index.snapshot.region_index, catalog.index.snapshot.type_index
        for (cloud, region, name), (interruptions, hours) in places:
            r, t = regions.get((cloud, region)), types.get((cloud, name))
            if r is not None and t is not None:
                self.put(<int>t * catalog.regions + <int>r, interruptions, hours)

    cdef void put(self, int32_t key, double interruptions, double hours):
        cdef uint32_t at = _hash(key) & self.table.mask
        while self.places[at].key >= 0 and self.places[at].key != key:
            at = (at + 1) & self.table.mask
        if self.places[at].key < 0:
            self.used += 1
        self.places[at].key = key
        self.places[at].interruptions = interruptions
        self.places[at].hours = hours

    def __dealloc__(self):
        free(self.families)
        free(self.places)


cdef class Learned:
    """What is known of one `LearnedState`: its rates, and the blocks that hold from `since` to before `until`."""

    cdef object state, since, until
    cdef Rates rates
    cdef Blocks blocks
