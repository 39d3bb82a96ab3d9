# Size tables, and sets of types by what they have, by their family and by their name, as words of bits.

cdef class Amounts:
    """Types with at least an amount of something, as `type_sets.AtLeast`."""

    cdef Held held_values, held_sets
    cdef const double* values
    cdef const uint64_t* sets
    cdef int count, words

    def __init__(self, amounts, int words):
        distinct = np.unique(amounts[~np.isnan(amounts)])
        sets = np.zeros((len(distinct) + 1, words * 8), np.uint8)
        for i, value in enumerate(distinct):
            packed = np.packbits(amounts >= value, bitorder="little")
            sets[i, : len(packed)] = packed
        self.held_values = Held(distinct, "<f8")
        self.held_sets = Held(sets, "|u1")
        self.values = <const double*>self.held_values.data
        self.sets = <const uint64_t*>self.held_sets.data
        self.count = len(distinct)
        self.words = words

    cdef const uint64_t* of(self, double amount):
        return self.sets + first_at_least(self.values, self.count, amount) * self.words


cdef int first_at_least(const double* values, int count, double amount):
    """As `bisect_left`."""
    cdef int low = 0, middle
    while low < count:
        middle = (low + count) >> 1
        if values[middle] < amount:
            low = middle + 1
        else:
            count = middle
    return low


cdef class Members:
    """Types by a name, of a family or of the type itself."""

    cdef dict types  # by name: numbers of types as int32

    def __init__(self, names):
        members = {}
        for t, name in enumerate(names):
            members.setdefault(name, []).append(t)
        self.types = {name: np.array(found, np.int32).tobytes() for name, found in members.items()}

    cdef void put(self, object name, uint64_t* types, bint into):
        """Puts the types of a name into a set or takes them out; nothing for a name that is not known."""
        cdef object held = self.types.get(name)
        cdef const int32_t* found
        cdef Py_ssize_t i
        if held is None:
            return
        found = <const int32_t*>PyBytes_AS_STRING(<bytes>held)
        for i in range(len(<bytes>held) // 4):
            if into:
                types[found[i] >> 6] |= <uint64_t>1 << (found[i] & 63)
            else:
                types[found[i] >> 6] &= ~(<uint64_t>1 << (found[i] & 63))

    cdef bint change(self, object allowed, object denied, uint64_t* types, int words):
        """Keeps of a set what two lists leave; whether they say anything."""
        cdef uint64_t chosen[TYPE_WORDS]
        if not allowed and not denied:
            return False
        if allowed:
            memset(chosen, 0, sizeof(chosen))
            for name in <frozenset?>allowed:
                self.put(name, chosen, True)
            keep_bits(types, chosen, words)
        for name in <frozenset?>denied:
            self.put(name, types, False)
        return True


cdef class Table:
    """A `SizeTable` with its axes as arrays."""

    cdef list held
    cdef int axes[3]
    cdef const double* values[3]
    cdef const int32_t* row_of
    cdef const int16_t* rank
    cdef const double* price
    cdef object arch

    def __init__(self, table):
        cdef int i
        self.held = [
            *(Held(np.array(axis, np.float64), "<f8") for axis in (table.counts, table.vcpus, table.memories_gib)),
            Held(table.row_of, "<i4"), Held(table.rank, "<i2"), Held(table.price_nanos, "<f8"),
        ]
        for i in range(3):
            self.values[i] = <const double*>(<Held>self.held[i]).data
            self.axes[i] = (<Held>self.held[i]).size // 8
        self.row_of = <const int32_t*>(<Held>self.held[3]).data
        self.rank = <const int16_t*>(<Held>self.held[4]).data
        self.price = <const double*>(<Held>self.held[5]).data
        self.arch = table.arch

    cdef Py_ssize_t row(self, double count, double vcpus, double memory):
        """The row of the smallest size with at least this much; -1 if nothing is that large."""
        cdef int i = first_at_least(self.values[0], self.axes[0], count)
        cdef int j = first_at_least(self.values[1], self.axes[1], vcpus)
        cdef int k = first_at_least(self.values[2], self.axes[2], memory)
        if i == self.axes[0] or j == self.axes[1] or k == self.axes[2]:
            return -1
        return self.row_of[(<Py_ssize_t>i * self.axes[1] + j) * self.axes[2] + k]


cdef struct Rows:
    # The cheapest large enough offers of each cell, [option][region], as `CheapestBySize`. Null: there are none.
    const double* price
    const int16_t* rank
    bint exact


cdef class Sizes:
    """Size tables and sets of types by what they have."""

    cdef dict tables, memory_of, by_model, by_arch
    cdef Amounts vcpus, memory, gpus, gpu_memory, disk, network
    cdef Members families, names
    cdef bytes no_gpu, every
    cdef int words, cells

    def __init__(self, index, int words, int cells):
        snapshot, sets = index.snapshot, index.type_sets
        types = snapshot.types
        self.words = words
        self.cells = cells
        self.tables = {key: Table(table) for key, table in snapshot.tables.items()}
        self.memory_of = {name: (memory.least, memory.most) for name, memory in sets.model_memory.items()}
        self.vcpus, self.memory = Amounts(types.vcpus, words), Amounts(types.memory_gib, words)
        self.gpus, self.gpu_memory = Amounts(types.gpu_count, words), Amounts(types.gpu_memory_gib, words)
        self.disk, self.network = Amounts(types.local_storage_gb, words), Amounts(types.network_gbps, words)
        self.families = Members(index.family_of)
        self.names = Members(snapshot.type_names)
        self.no_gpu = words_of(sets.no_gpu, words)
        self.every = words_of(sets.all, words)
        self.by_model = {name: words_of(found, words) for name, found in sets.by_model.items()}
        self.by_arch = {name: words_of(found, words) for name, found in sets.by_arch.items()}

    cdef int cheapest(self, object size, Rows* found, double* prices, int16_t* ranks) except -1:
        """As `SearchIndex.cheapest_of_size`; what is mixed of several rows is put into `prices` and `ranks`."""
        cdef double vcpus = slot(size, at_vcpus), memory = slot(size, at_memory), least, most, count, each
        cdef Rows one
        cdef int i
        gpus = <tuple?>slot(size, at_gpus)
        arch = slot(size, at_arch)
        found.price = NULL
        found.exact = True
        if not gpus:
            self._row(None, arch, 0.0, vcpus, memory, found)
            return 0
        for need in gpus:
            if type(need) is not GpuNeed:
                raise TypeError("a need of GPUs is something else")
            count = slot(need, at_gpu_count)
            each = slot(need, at_gpu_memory)
            for model in <tuple?>slot(need, at_models):
                known = self.memory_of.get(model)
                if known is None:
                    continue
                least, most = <tuple>known
                if most < each:
                    continue
                self._row(model, arch, count, vcpus, memory, &one)
                if one.price == NULL:
                    continue
                if least < each:
                    one.exact = False
                if found.price == NULL:
                    found[0] = one
                    continue
                for i in range(self.cells):
                    prices[i] = one.price[i] if one.price[i] < found.price[i] else found.price[i]
                    ranks[i] = one.rank[i] if one.rank[i] < found.rank[i] else found.rank[i]
                found.exact = found.exact and one.exact
                found.price = prices
                found.rank = ranks
        if found.price == NULL:
            found.exact = True
        return 0

    cdef void _row(self, object model, object arch, double count, double vcpus, double memory, Rows* found):
        cdef Py_ssize_t row = -1
        cdef Table table
        known = self.tables.get((model, arch))
        if known is None and arch is not None:
            known = self.tables.get((model, None))
        found.price = NULL
        found.exact = True
        if known is None:
            return
        table = <Table>known
        row = table.row(count, vcpus, memory)
        if row < 0:
            return
        found.price = table.price + row * self.cells
        found.rank = table.rank + row * self.cells
        found.exact = table.arch == arch

    cdef void with_gpus(self, object size, uint64_t* types):
        """Keeps types whose accelerators are what a size asks for, as `TypeSets.with_gpus`."""
        cdef uint64_t found[TYPE_WORDS]
        cdef uint64_t some[TYPE_WORDS]
        cdef const uint64_t* held
        cdef int i
        gpus = <tuple?>slot(size, at_gpus)
        if not gpus:
            if not slot(size, at_type):
                keep_bits(types, <const uint64_t*>PyBytes_AS_STRING(self.no_gpu), self.words)
            return
        memset(found, 0, sizeof(found))
        for need in gpus:
            memset(some, 0, sizeof(some))
            for model in <tuple?>slot(need, at_models):
                known = self.by_model.get(model)
                if known is not None:
                    held = <const uint64_t*>PyBytes_AS_STRING(<bytes>known)
                    for i in range(self.words):
                        some[i] |= held[i]
            keep_bits(some, self.gpus.of(slot(need, at_gpu_count)), self.words)
            keep_bits(some, self.gpu_memory.of(slot(need, at_gpu_memory)), self.words)
            for i in range(self.words):
                found[i] |= some[i]
        keep_bits(types, found, self.words)
