# Plain requests from bytes.

cdef class Maker:
    """Makes frozen, slotted dataclasses: the defaults are put into the slots, and then what is known.

    Raises ImportError for a class whose fields are no slots.
    """

    cdef object kind
    cdef dict places
    cdef list values
    cdef Py_ssize_t offsets[64]

    def __init__(self, kind):
        self.kind = kind
        self.places = {}
        self.values = []
        for field in fields(kind):
            offset = slot_offset(kind.__dict__[field.name])
            if offset < 0 or len(self.values) == 64:
                raise ImportError(f"{kind.__name__}.{field.name} is no slot, or one too many")
            self.offsets[len(self.values)] = offset
            self.places[field.name] = offset
            default = None if field.default is MISSING else field.default
            self.values.append(default if field.default_factory is MISSING else field.default_factory())

    cdef Py_ssize_t place(self, str name) except -1:
        return self.places[name]

    cdef object make(self):
        made = self.kind.__new__(self.kind)
        cdef Py_ssize_t i
        for i in range(len(self.values)):
            set_slot(made, self.offsets[i], self.values[i])
        return made


cdef Maker _workload = Maker(Workload), _size = Maker(Size), _data_set = Maker(DataSet), _query = Maker(PlaceQuery)
cdef Py_ssize_t _W_SIZE = _workload.place("size"), _W_HOURS = _workload.place("hours")
cdef Py_ssize_t _W_ID = _workload.place("workload_id"), _W_COUNT = _workload.place("count")
cdef Py_ssize_t _W_OPTIONS = _workload.place("options"), _W_DATA = _workload.place("data_sets")
cdef Py_ssize_t _W_RESIDENCY = _workload.place("residency"), _W_READINGS = _workload.place("readings")
cdef Py_ssize_t _S_VCPUS = _size.place("vcpus"), _S_MEMORY = _size.place("memory_gib"), _S_GPUS = _size.place("gpus")
cdef Py_ssize_t _D_LOCATION = _data_set.place("location"), _D_GIB = _data_set.place("gib")
cdef Py_ssize_t _D_READS = _data_set.place("reads")
cdef Py_ssize_t _Q_PROJECT = _query.place("project"), _Q_WORK = _query.place("workload")
cdef Py_ssize_t _Q_FALLBACKS = _query.place("max_fallbacks")


cdef class Bounds:
    """The contract's caps, as `rpc.bounds` and the parsers have them."""

    cdef public double vcpus, memory_gib, gib, hours, reads, read_gib
    cdef public int64_t gpus, count, fallbacks
    cdef public int data_sets, gpu_needs


cdef class RequestReader:
    """Reads against one vocabulary: its regions, and the GPU needs and residencies that were read before."""

    cdef object regions, gpu_needs, residencies, parse_options
    cdef dict options
    cdef tuple default_options
    cdef Bounds caps

    def __init__(self, regions, gpu_needs, residencies, parse_options, Bounds caps):
        """`regions` by (cloud number, name); `gpu_needs` and `residencies` look up; `parse_options` gives the tuple
        of a list of numbers, None when one is no option."""
        self.regions = regions
        self.gpu_needs = gpu_needs
        self.residencies = residencies
        self.parse_options = parse_options
        self.options = {}
        self.default_options = parse_options([])
        self.caps = caps

    cpdef object read(self, bytes data, str project):
        """The query of a canonical `PlaceRequest`; None where the interpreted parser has to look."""
        cdef Reader r, work
        cdef uint64_t tag
        cdef int64_t fallbacks = -1
        r.at = <const unsigned char*>PyBytes_AS_STRING(data)
        r.end = r.at + PyBytes_GET_SIZE(data)
        r.tag = r.bad = 0
        workload = None
        while r.at < r.end:
            tag = read_tag(&r, 0)
            if tag == 10:  # parent
                work = read_part(&r)
                if work.at == work.end:
                    return None
            elif tag == 18:
                work = read_part(&r)
                if r.bad:
                    return None
                workload = self._workload(work)
                if workload is None:
                    return None
            elif tag == 48:
                fallbacks = <int64_t>read_varint(&r)
                if not 0 <= fallbacks <= self.caps.fallbacks:
                    return None
            else:
                return None
            if r.bad:
                return None
        if workload is None:
            return None
        query = _query.make()
        set_slot(query, _Q_PROJECT, project)
        set_slot(query, _Q_WORK, workload)
        if fallbacks >= 0:
            set_slot(query, _Q_FALLBACKS, fallbacks)
        return query

    cdef object _workload(self, Reader r):
        cdef uint64_t tag
        cdef Reader part
        cdef int64_t seconds = 0, nanos = 0, count
        cdef double hours = 0.0
        cdef list data_sets = None, readings = []
        cdef bint sized = False
        workload = _workload.make()
        set_slot(workload, _W_OPTIONS, self.default_options)
        while r.at < r.end:
            tag = read_tag(&r, 90)
            if tag == 48:
                count = <int64_t>read_given(&r)
                if r.bad or not 0 < count <= self.caps.count:
                    return None
                set_slot(workload, _W_COUNT, count)
                continue
            if tag & 7 != 2:
                return None
            part = read_part(&r)
            if r.bad:
                return None
            if tag == 10:
                if not _is_workload_id(part):
                    return None
                set_slot(workload, _W_ID, PyUnicode_DecodeUTF8(<char*>part.at, part.end - part.at, NULL))
            elif tag == 26:
                size = self._size(part, readings)
                if size is None:
                    return None
                set_slot(workload, _W_SIZE, size)
                sized = True
            elif tag == 34:
                while part.at < part.end:
                    tag = read_tag(&part, 0)
                    if tag == 8:
                        seconds = <int64_t>read_given(&part)
                    elif tag == 16:
                        nanos = <int64_t>read_given(&part)
                    else:
                        return None
                if part.bad or seconds < 0 or not 0 <= nanos < 1000000000:
                    return None
                hours = (<double>seconds + nanos * 1e-9) / 3600.0
                if not 0.0 < hours <= self.caps.hours:
                    return None
                set_slot(workload, _W_HOURS, hours)
            elif tag == 66:
                options = self._options(part)
                if options is None:
                    return None
                set_slot(workload, _W_OPTIONS, options)
            elif tag == 90:
                data = self._data_set(part)
                if data is None:
                    return None
                if data_sets is None:
                    data_sets = []
                data_sets.append(data)
                if len(data_sets) > self.caps.data_sets:
                    return None
            elif tag == 106:
                kept = self.residencies(PyBytes_FromStringAndSize(<char*>part.at, part.end - part.at))
                if kept is None:
                    return None
                set_slot(workload, _W_RESIDENCY, kept)
            else:
                return None
        if not sized or hours == 0.0:
            return None
        if data_sets is not None:
            set_slot(workload, _W_DATA, tuple(data_sets))
        if readings:
            set_slot(workload, _W_READINGS, tuple(readings))
        return workload

    cdef object _size(self, Reader r, list readings):
        cdef uint64_t tag
        cdef Reader part
        cdef double vcpus = 0.0, memory = 0.0, each
        cdef int64_t count
        cdef list gpus = None
        while r.at < r.end:
            tag = read_tag(&r, 26)
            if tag == 9:
                vcpus = read_double(&r)
            elif tag == 17:
                memory = read_double(&r)
            elif tag == 26:
                part = read_part(&r)
                if r.bad:
                    return None
                model, count, each = "", 0, 0.0
                while part.at < part.end:
                    tag = read_tag(&part, 0)
                    if tag == 10:
                        model = _text(&part)
                    elif tag == 16:
                        count = <int64_t>read_given(&part)
                    elif tag == 25:
                        each = read_double(&part)
                    else:
                        return None
                    if part.bad:
                        return None
                kept = self.gpu_needs((model, count, each))
                if gpus is None:
                    gpus = []
                if kept is None or len(gpus) == self.caps.gpu_needs:
                    return None
                gpus.append((<tuple>kept)[0])
                if (<tuple>kept)[1]:
                    readings.append((<tuple>kept)[1])
            else:
                return None
            if r.bad:
                return None
        if not (vcpus or memory or gpus):
            return None
        if not (0.0 <= vcpus <= self.caps.vcpus and 0.0 <= memory <= self.caps.memory_gib):
            return None
        size = _size.make()
        set_slot(size, _S_VCPUS, vcpus)
        set_slot(size, _S_MEMORY, memory)
        if gpus is not None:
            set_slot(size, _S_GPUS, tuple(gpus))
        return size

    cdef object _data_set(self, Reader r):
        cdef uint64_t tag
        cdef Reader part
        cdef double gib = 0.0, reads = 0.0
        cdef int64_t cloud = 0
        location = None
        while r.at < r.end:
            tag = read_tag(&r, 0)
            if tag == 10:
                part = read_part(&r)
                if r.bad:
                    return None
                name = ""
                while part.at < part.end:
                    tag = read_tag(&part, 0)
                    if tag == 8:
                        cloud = <int64_t>read_given(&part)
                    elif tag == 18:
                        name = _text(&part)
                    else:
                        return None
                    if part.bad:
                        return None
                location = self.regions((cloud, name))
            elif tag == 17:
                gib = read_double(&r)
            elif tag == 25:
                reads = read_double(&r)
            else:
                return None
            if r.bad:
                return None
        if reads == 0.0:
            reads = 1.0
        if location is None or not (0.0 <= gib <= self.caps.gib and 0.0 <= reads <= self.caps.reads):
            return None
        if not gib * reads <= self.caps.read_gib:
            return None
        data = _data_set.make()
        set_slot(data, _D_LOCATION, location)
        set_slot(data, _D_GIB, gib)
        set_slot(data, _D_READS, reads)
        return data

    cdef object _options(self, Reader r):
        cdef bytes key = PyBytes_FromStringAndSize(<char*>r.at, r.end - r.at)
        known = self.options.get(key)
        if known is None and r.at < r.end:
            numbers = []
            while r.at < r.end:
                numbers.append(<int64_t>read_varint(&r))
            known = None if r.bad else self.parse_options(numbers)
            if known is not None and len(self.options) < MOST_KEPT:
                self.options[key] = known
        return known


cdef object _text(Reader* r):
    """A text that is not empty."""
    cdef Reader part = read_part(r)
    if part.at == part.end:
        r.bad = 1
    try:
        return "" if r.bad else PyUnicode_DecodeUTF8(<char*>part.at, part.end - part.at, NULL)
    except UnicodeDecodeError:
        r.bad = 1
        return ""


cdef bint _is_workload_id(Reader part):
    cdef const unsigned char* at = part.at
    if not 1 <= part.end - part.at <= 128:
        return False
    while at < part.end:
        if not (48 <= at[0] <= 57 or 97 <= at[0] <= 122 or at[0] == 45):
            return False
        at += 1
    return True
