# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False
"""The compiled twin of the placement codec: reads plain requests from their bytes, writes placed decisions as bytes.

Both ends know the canonical form only, the one of deterministic serialisation: fields in the order of their numbers,
each once, defaults left out. Everything else (a field that is rarely set, a number out of range, a name not seen
before) gives None, and the interpreted codec reads or writes it, and says what is wrong with it.
"""

from dataclasses import MISSING, fields

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memcmp

from trimtab_service.domain.decisions import CostTerms, Decision, Placement, Verdict
from trimtab_service.domain.workloads import DataSet, PlaceQuery, Size, Workload


_FORMS = (
    (Placement, "offer terms billed_hours expected_interruptions risk zones checkpoint_interval_hours price_age_days "
                "commitments covered_instances latency_ms draws"),
    (CostTerms, "compute interruption egress storage moving preference"),
    (Decision, "verdict chosen fallbacks rejected_regions valid_until notes relaxations explanation "
               "approval_required_by"),
)
for _kind, _names in _FORMS:
    if _kind._fields != tuple(_names.split()):
        raise ImportError(f"the fields of {_kind.__name__} are others than this writer knows")


cdef extern from "Python.h":
    int PyObject_GenericSetAttr(object, object, object) except -1
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*) except NULL


cdef enum:
    MOST_BYTES = 8192
    MOST_DATA_SETS = 64
    MOST_KEPT = 4096

cdef extern from *:
    """
    typedef struct { const unsigned char *at, *end; int bad; } Reader;

    static uint64_t read_varint(Reader *r) {
        uint64_t value = 0;
        for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
            unsigned char byte = *r->at++;
            value |= (uint64_t)(byte & 127) << shift;
            if (byte < 128) return value;
        }
        r->bad = 1;
        return 0;
    }
    static double read_double(Reader *r) {
        double value = 0.0;
        if (r->end - r->at < 8) { r->bad = 1; return 0.0; }
        memcpy(&value, r->at, 8);
        r->at += 8;
        return value;
    }
    static Reader read_part(Reader *r) {
        Reader part = {r->at, r->at, 0};
        uint64_t size = read_varint(r);
        if (r->bad || size > (uint64_t)(r->end - r->at)) { r->bad = 1; return part; }
        part.at = r->at;
        part.end = r->at = r->at + size;
        return part;
    }

    typedef struct { unsigned char *at, *end; int full; } Writer;

    static void put_bytes(Writer *w, const void *data, size_t size) {
        if ((size_t)(w->end - w->at) < size) { w->full = 1; return; }
        memcpy(w->at, data, size);
        w->at += size;
    }
    static void put_varint(Writer *w, uint64_t value) {
        unsigned char bytes[10];
        int size = 0;
        while (value >= 128) { bytes[size++] = (unsigned char)value | 128; value >>= 7; }
        bytes[size++] = (unsigned char)value;
        put_bytes(w, bytes, size);
    }
    static void put_number(Writer *w, int field, int64_t value) {
        if (!value) return;
        put_varint(w, (uint64_t)field << 3);
        put_varint(w, (uint64_t)value);
    }
    static void put_double(Writer *w, int field, double value) {
        uint64_t bits;
        memcpy(&bits, &value, 8);
        if (!bits) return;
        put_varint(w, (uint64_t)field << 3 | 1);
        put_bytes(w, &bits, 8);
    }
    static void put_part(Writer *w, int field, const void *data, size_t size) {
        put_varint(w, (uint64_t)field << 3 | 2);
        put_varint(w, size);
        put_bytes(w, data, size);
    }
    static void put_money(Writer *w, int field, int64_t micros) {
        unsigned char inner[40];
        Writer m = {inner, inner + sizeof inner, 0};
        put_part(&m, 1, "USD", 3);
        put_number(&m, 2, micros / 1000000);
        put_number(&m, 3, micros % 1000000 * 1000);
        put_part(w, field, inner, m.at - inner);
    }
    static void put_moment(Writer *w, int field, int64_t seconds, int64_t nanos) {
        unsigned char inner[24];
        Writer m = {inner, inner + sizeof inner, 0};
        put_number(&m, 1, seconds);
        put_number(&m, 2, nanos);
        put_part(w, field, inner, m.at - inner);
    }
    static void put_term(Writer *w, int field, int kind, int64_t micros) {
        unsigned char inner[48];
        Writer m = {inner, inner + sizeof inner, 0};
        put_number(&m, 1, kind);
        put_money(&m, 2, micros);
        put_part(w, field, inner, m.at - inner);
    }
    static double nearest(double x) { return __builtin_rint(x); }
    """
    ctypedef struct Reader:
        const unsigned char* at
        const unsigned char* end
        int bad
    ctypedef struct Writer:
        unsigned char* at
        unsigned char* end
        int full
    uint64_t read_varint(Reader*)
    double read_double(Reader*)
    Reader read_part(Reader*)
    void put_bytes(Writer*, const void*, size_t)
    void put_number(Writer*, int, int64_t)
    void put_double(Writer*, int, double)
    void put_part(Writer*, int, const void*, size_t)
    void put_money(Writer*, int, int64_t)
    void put_moment(Writer*, int, int64_t, int64_t)
    void put_term(Writer*, int, int, int64_t)
    double nearest(double)


# Writing ------------------------------------------------------------------------------------------------------------


cdef class DecisionWriter:
    """`offer_bytes` gives the serialised message of an offer, and `offers` is what it has kept, by identity."""

    cdef object offer_bytes, epoch
    cdef dict offers, reasons, differs

    def __init__(self, offer_bytes, dict offers, dict differs, epoch):
        self.offer_bytes = offer_bytes
        self.offers = offers
        self.differs = differs
        self.epoch = epoch
        self.reasons = {}

    cdef bytes _offer(self, offer):
        kept = self.offers.get(<size_t><void*>offer)
        return <bytes>((<tuple>kept)[1] if kept is not None else self.offer_bytes(offer))

    def write(self, decision, str name, instant, str workload_id, bytes revisions):
        """The bytes of a `Decision` that places and has neither relaxations nor an explanation; None for others."""
        cdef unsigned char buffer[MOST_BYTES]
        cdef unsigned char inner[2048]
        cdef Writer w, p
        cdef bytes offer
        cdef tuple place
        cdef double hours
        cdef int64_t nanos
        verdict, chosen, fallbacks, rejected, until, notes, relaxations, explanation, approval = decision
        if verdict is not Verdict.PLACED or relaxations or explanation is not None:
            return None
        place = <tuple>chosen
        # Zones of a spread gang, commitments: rarely there.
        if place[5] or place[8]:
            return None
        w.at = buffer
        w.end = buffer + MOST_BYTES
        w.full = 0
        _put_text(&w, 1, name)
        put_number(&w, 2, 1)
        self._put_time(&w, 3, instant)
        self._put_time(&w, 4, until)
        p.at = inner
        p.end = inner + 2048
        p.full = 0
        offer = self._offer(place[0])
        put_part(&p, 1, PyBytes_AS_STRING(offer), PyBytes_GET_SIZE(offer))
        if not _put_cost(&p, 3, <tuple>place[1], True):
            return None
        put_double(&p, 5, place[2])
        put_double(&p, 6, place[3])
        if place[6] is not None:
            hours = place[6]
            if not 0.0 <= hours < 1e6:
                return None
            nanos = <int64_t>nearest(hours * 3.6e12)
            put_moment(&p, 7, nanos // 1000000000, nanos % 1000000000)
        put_number(&p, 8, place[7])
        put_double(&p, 11, place[10])
        put_number(&p, 12, place[4])
        if p.full:
            return None
        put_part(&w, 5, inner, p.at - inner)
        for other, differs in <tuple>fallbacks:
            p.at = inner
            offer = self._offer((<tuple>other)[0])
            put_part(&p, 1, PyBytes_AS_STRING(offer), PyBytes_GET_SIZE(offer))
            if not _put_cost(&p, 2, <tuple>(<tuple>other)[1], False):
                return None
            put_number(&p, 3, (<tuple>other)[4])
            put_number(&p, 4, self.differs[differs])
            if p.full:
                return None
            put_part(&w, 6, inner, p.at - inner)
        for reason, count in <tuple>rejected:
            p.at = inner
            text = self.reasons.get(reason)
            if text is None:
                text = self.reasons[reason] = reason.name
            _put_text(&p, 1, text)
            put_number(&p, 2, count)
            put_part(&w, 7, inner, p.at - inner)
        put_part(&w, 8, PyBytes_AS_STRING(revisions), PyBytes_GET_SIZE(revisions))
        for note in <tuple>notes:
            _put_string(&w, 10, note)
        _put_text(&w, 14, approval)
        _put_text(&w, 15, workload_id)
        if w.full or p.full:
            return None
        return PyBytes_FromStringAndSize(<char*>buffer, w.at - buffer)

    cdef int _put_time(self, Writer* w, int field, instant) except -1:
        since = instant - self.epoch
        put_moment(w, field, <int64_t>since.days * 86400 + <int64_t>since.seconds, <int64_t>since.microseconds * 1000)
        return 0


cdef int _put_string(Writer* w, int field, str text) except -1:
    cdef Py_ssize_t size = 0
    cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
    put_part(w, field, data, size)
    return 0


cdef int _put_text(Writer* w, int field, str text) except -1:
    return _put_string(w, field, text) if text else 0


_MOST_MICROS = 1 << 60


cdef bint _put_cost(Writer* w, int field, tuple terms, bint each) except -1:
    """The sum of the terms, and (`each`) those that are not zero, compute always; False where it is negative."""
    cdef int64_t parts[6]
    cdef int64_t total = 0
    cdef int i
    for i in range(6):
        term = terms[i]
        # Compared as Python's integers: what is beyond 64 bits is for the interpreted writer to refuse or write.
        if not 0 <= term <= _MOST_MICROS:
            return False
        parts[i] = term
        total += parts[i]
        if total < 0 or total > 1 << 60:
            return False
    put_money(w, field, total)
    if each:
        for i in range(6):
            if parts[i] or not i:
                put_term(w, field + 1, i + 1, parts[i])
    return True


# Reading ------------------------------------------------------------------------------------------------------------


cdef class Maker:
    """Makes frozen, slotted dataclasses, each field set once without a call of Python's."""

    cdef object kind
    cdef tuple names
    cdef list values
    cdef dict places

    def __init__(self, kind):
        self.kind = kind
        found = fields(kind)
        self.names = tuple(field.name for field in found)
        self.values = [
            field.default if field.default_factory is MISSING else field.default_factory() for field in found
        ]
        self.places = {name: i for i, name in enumerate(self.names)}

    cdef int place(self, str name) except -1:
        return self.places[name]

    cdef object make(self, list values):
        made = self.kind.__new__(self.kind)
        cdef int i
        for i in range(len(self.names)):
            PyObject_GenericSetAttr(made, self.names[i], values[i])
        return made


cdef Maker _workload = Maker(Workload), _size = Maker(Size), _data_set = Maker(DataSet), _query = Maker(PlaceQuery)
cdef int _W_SIZE = _workload.place("size"), _W_HOURS = _workload.place("hours"), _W_ID = _workload.place("workload_id")
cdef int _W_COUNT = _workload.place("count"), _W_OPTIONS = _workload.place("options")
cdef int _W_DATA = _workload.place("data_sets"), _W_RESIDENCY = _workload.place("residency")
cdef int _W_READINGS = _workload.place("readings")
cdef int _S_VCPUS = _size.place("vcpus"), _S_MEMORY = _size.place("memory_gib"), _S_GPUS = _size.place("gpus")
cdef int _D_LOCATION = _data_set.place("location"), _D_GIB = _data_set.place("gib"), _D_READS = _data_set.place("reads")
cdef int _Q_PROJECT = _query.place("project"), _Q_WORK = _query.place("workload")
cdef int _Q_FALLBACKS = _query.place("max_fallbacks")


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

    def read(self, bytes data, str project):
        """The query of a canonical `PlaceRequest`; None where the interpreted parser has to look."""
        cdef Reader r, work
        cdef uint64_t tag
        cdef int64_t fallbacks = -1
        r.at = <const unsigned char*>PyBytes_AS_STRING(data)
        r.end = r.at + PyBytes_GET_SIZE(data)
        r.bad = 0
        workload = None
        while r.at < r.end:
            tag = read_varint(&r)
            if tag == 10:  # parent
                read_part(&r)
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
        values = list(_query.values)
        values[_Q_PROJECT] = project
        values[_Q_WORK] = workload
        if fallbacks >= 0:
            values[_Q_FALLBACKS] = fallbacks
        return _query.make(values)

    cdef object _workload(self, Reader r):
        cdef uint64_t tag
        cdef Reader part
        cdef int64_t seconds = 0, nanos = 0, count
        cdef double hours = 0.0
        cdef list values = list(_workload.values), data_sets = None, readings = []
        cdef object size = None
        values[_W_OPTIONS] = self.default_options
        while r.at < r.end:
            tag = read_varint(&r)
            if tag == 48:
                count = <int64_t>read_varint(&r)
                if not 0 < count <= self.caps.count:
                    return None
                values[_W_COUNT] = count
                if r.bad:
                    return None
                continue
            if tag & 7 != 2:
                return None
            part = read_part(&r)
            if r.bad:
                return None
            if tag == 10:
                if not _is_workload_id(part):
                    return None
                values[_W_ID] = PyUnicode_DecodeUTF8(<char*>part.at, part.end - part.at, NULL)
            elif tag == 26:
                size = self._size(part, readings)
                if size is None:
                    return None
                values[_W_SIZE] = size
            elif tag == 34:
                while part.at < part.end:
                    tag = read_varint(&part)
                    if tag == 8:
                        seconds = <int64_t>read_varint(&part)
                    elif tag == 16:
                        nanos = <int64_t>read_varint(&part)
                    else:
                        return None
                if part.bad or seconds < 0 or not 0 <= nanos < 1000000000:
                    return None
                hours = (<double>seconds + nanos * 1e-9) / 3600.0
                if not 0.0 < hours <= self.caps.hours:
                    return None
                values[_W_HOURS] = hours
            elif tag == 66:
                options = self._options(part)
                if options is None:
                    return None
                values[_W_OPTIONS] = options
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
                values[_W_RESIDENCY] = kept
            else:
                return None
        if size is None or hours == 0.0:
            return None
        if data_sets is not None:
            values[_W_DATA] = tuple(data_sets)
        if readings:
            values[_W_READINGS] = tuple(readings)
        return _workload.make(values)

    cdef object _size(self, Reader r, list readings):
        cdef uint64_t tag
        cdef Reader part
        cdef double vcpus = 0.0, memory = 0.0, each
        cdef int64_t count
        cdef list gpus = [], values
        while r.at < r.end:
            tag = read_varint(&r)
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
                    tag = read_varint(&part)
                    if tag == 10:
                        model = _text(&part)
                    elif tag == 16:
                        count = <int64_t>read_varint(&part)
                    elif tag == 25:
                        each = read_double(&part)
                    else:
                        return None
                    if part.bad:
                        return None
                kept = self.gpu_needs((model, count, each))
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
        values = list(_size.values)
        values[_S_VCPUS] = vcpus
        values[_S_MEMORY] = memory
        values[_S_GPUS] = tuple(gpus)
        return _size.make(values)

    cdef object _data_set(self, Reader r):
        cdef uint64_t tag
        cdef Reader part
        cdef double gib = 0.0, reads = 0.0
        cdef int64_t cloud = 0
        location = None
        while r.at < r.end:
            tag = read_varint(&r)
            if tag == 10:
                part = read_part(&r)
                if r.bad:
                    return None
                name = ""
                while part.at < part.end:
                    tag = read_varint(&part)
                    if tag == 8:
                        cloud = <int64_t>read_varint(&part)
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
        values = list(_data_set.values)
        values[_D_LOCATION] = location
        values[_D_GIB] = gib
        values[_D_READS] = reads
        return _data_set.make(values)

    cdef object _options(self, Reader r):
        cdef bytes key = PyBytes_FromStringAndSize(<char*>r.at, r.end - r.at)
        known = self.options.get(key)
        if known is None:
            numbers = []
            while r.at < r.end:
                numbers.append(<int64_t>read_varint(&r))
            known = None if r.bad else self.parse_options(numbers)
            if known is not None and len(self.options) < MOST_KEPT:
                self.options[key] = known
        return known


cdef object _text(Reader* r):
    cdef Reader part = read_part(r)
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
