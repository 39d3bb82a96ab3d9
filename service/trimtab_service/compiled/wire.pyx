# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False
"""The compiled twin of the placement codec: reads plain requests from their bytes, writes placed decisions as bytes.

Both ends know the canonical form only, the one of deterministic serialisation: fields in the order of their numbers,
each once, numbers in their shortest form, defaults left out. What is read here has therefore exactly these bytes, and
no message has to be made of them. Everything else (another form, a field that is rarely set, a number out of range, a
name not seen before) gives None, and the interpreted codec reads or writes it, and says what is wrong with it.

`PlainDesk` is what lies between the two: a plain request in, its decision out, the record in the log.
"""

from dataclasses import MISSING, fields
from datetime import UTC
from functools import partial

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.datetime cimport (
    datetime_day, datetime_hour, datetime_microsecond, datetime_minute, datetime_month, datetime_second,
    datetime_tzinfo, datetime_year, import_datetime, PyDateTime_CheckExact,
)
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memcmp

import_datetime()

cdef object _utc = UTC

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
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*) except NULL


cdef enum:
    MOST_BYTES = 8192
    MOST_KEPT = 4096

cdef extern from *:
    """
    #include "structmember.h"
    typedef struct { const unsigned char *at, *end; uint64_t tag; int bad; } Reader;

    static uint64_t read_varint(Reader *r) {
        uint64_t value = 0;
        for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
            unsigned char byte = *r->at++;
            if (shift == 63 && byte > 1) break;
            value |= (uint64_t)(byte & 127) << shift;
            if (byte < 128) {
                if (!byte && shift) break;
                return value;
            }
        }
        r->bad = 1;
        return 0;
    }
    /* The next tag. Of the canonical form it is a greater one, but for the one field that may come again. */
    static uint64_t read_tag(Reader *r, uint64_t again) {
        uint64_t tag = read_varint(r);
        if (tag < r->tag || (tag == r->tag && tag != again)) r->bad = 1;
        return r->tag = tag;
    }
    /* A number or size that is not the default, which the canonical form leaves out. */
    static uint64_t read_given(Reader *r) {
        uint64_t value = read_varint(r);
        if (!value) r->bad = 1;
        return value;
    }
    static double read_double(Reader *r) {
        double value = 0.0;
        uint64_t bits = 0;
        if (r->end - r->at < 8) { r->bad = 1; return 0.0; }
        memcpy(&bits, r->at, 8);
        memcpy(&value, r->at, 8);
        if (!bits) r->bad = 1;
        r->at += 8;
        return value;
    }
    static Reader read_part(Reader *r) {
        Reader part = {r->at, r->at, 0, 0};
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
    static void put_tag(Writer *w, int field, size_t size) {
        put_varint(w, (uint64_t)field << 3 | 2);
        put_varint(w, size);
    }
    static void put_part(Writer *w, int field, const void *data, size_t size) {
        put_tag(w, field, size);
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

    static int64_t days_of_civil(int64_t y, int64_t m, int64_t d) {
        y -= m <= 2;
        int64_t era = y / 400, of_era = y - era * 400;
        int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
        return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    }

    /* Ten random bytes behind the milliseconds; of the same ones as the last, a step of 32 random bits behind it. */
    static void next_ulid(uint64_t millis, const char *random, uint64_t *high, uint64_t *low, char *text) {
        const unsigned char *bytes = (const unsigned char *)random;
        uint64_t own_high = millis << 16 | bytes[0] << 8 | bytes[1], own_low = 0;
        for (int i = 2; i < 10; i++) own_low = own_low << 8 | bytes[i];
        if (own_high >> 16 == *high >> 16) {
            uint64_t step = 1 + (own_low & 0xFFFFFFFFu);
            own_low = *low + step;
            own_high = *high + (own_low < step);
        }
        *high = own_high;
        *low = own_low;
        unsigned __int128 value = (unsigned __int128)own_high << 64 | own_low;
        for (int i = 25; i >= 0; i--) {
            text[i] = "0123456789abcdefghjkmnpqrstvwxyz"[(int)(value & 31)];
            value >>= 5;
        }
    }

    /* Where a slot of a class lies in its instances; -1 for what is no slot. */
    static Py_ssize_t slot_offset(PyObject *descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return -1;
        struct PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        return member->type == T_OBJECT_EX ? member->offset : -1;
    }
    static void set_slot(PyObject *object, Py_ssize_t offset, PyObject *value) {
        PyObject **slot = (PyObject **)((char *)object + offset), *old = *slot;
        Py_INCREF(value);
        *slot = value;
        Py_XDECREF(old);
    }
    """
    ctypedef struct Reader:
        const unsigned char* at
        const unsigned char* end
        uint64_t tag
        int bad
    ctypedef struct Writer:
        unsigned char* at
        unsigned char* end
        int full
    uint64_t read_varint(Reader*)
    uint64_t read_tag(Reader*, uint64_t)
    uint64_t read_given(Reader*)
    double read_double(Reader*)
    Reader read_part(Reader*)
    void put_bytes(Writer*, const void*, size_t)
    void put_number(Writer*, int, int64_t)
    void put_double(Writer*, int, double)
    void put_tag(Writer*, int, size_t)
    void put_part(Writer*, int, const void*, size_t)
    void put_money(Writer*, int, int64_t)
    void put_moment(Writer*, int, int64_t, int64_t)
    void put_term(Writer*, int, int, int64_t)
    double nearest(double)
    int64_t days_of_civil(int64_t, int64_t, int64_t)
    void next_ulid(uint64_t, const char*, uint64_t*, uint64_t*, char*)
    Py_ssize_t slot_offset(object)
    void set_slot(object, Py_ssize_t, object)


# Time ---------------------------------------------------------------------------------------------------------------


cdef int64_t micros_of(instant) except? -1:
    """Microseconds since 1970, of an aware datetime. Raises ValueError for a naive one."""
    if not PyDateTime_CheckExact(instant) or datetime_tzinfo(instant) is not _utc:
        if instant.tzinfo is None:
            raise ValueError("a stored instant carries its time zone")
        instant = instant.astimezone(_utc)
    return (
        (days_of_civil(datetime_year(instant), datetime_month(instant), datetime_day(instant)) * 86400
         + datetime_hour(instant) * 3600 + datetime_minute(instant) * 60 + datetime_second(instant)) * 1000000
        + datetime_microsecond(instant)
    )


cdef int64_t micros_since_1970(instant) except? -1:
    """The same for what is written as seconds and nanoseconds. Raises OverflowError before 1970: no decision is."""
    cdef int64_t micros = micros_of(instant)
    if micros < 0:
        raise OverflowError("an instant before 1970")
    return micros


cdef class Ulids:
    """The twin of `rpc.ids.AscendingUlids` over a `UlidSource`: the same ids of the same random bytes.

    Threads may share it: between a look at its fields and the change of them nothing gives up the interpreter's lock.
    """

    cdef object random
    cdef bytes pool
    cdef Py_ssize_t left
    cdef uint64_t high, low

    def __init__(self, random):
        self.random = random
        self.pool = b""

    def __call__(self, instant):
        """A ULID of the instant, to the millisecond; after another of the same one, a random step behind that."""
        cdef uint64_t millis = micros_since_1970(instant) // 1000
        cdef char text[26]
        while self.left < 10:
            drawn = self.random(10 * 512)
            self.pool, self.left = drawn, len(drawn)
        self.left -= 10
        next_ulid(millis, PyBytes_AS_STRING(self.pool) + self.left, &self.high, &self.low, text)
        return PyUnicode_DecodeASCII(text, 26, NULL)


def flat_values(records, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width, tuple times):
    """The twin of `store.decisions.flat_values`. Truths are numbers here, which the driver need not look at twice."""
    cdef tuple flat = PyTuple_New((end - begin) * width), record
    cdef Py_ssize_t row, column, at = 0
    cdef uint64_t instants = 0
    for place in times:
        instants |= <uint64_t>1 << <int>place
    for row in range(begin, end):
        record = <tuple>records[row]
        for column in range(width):
            value = record[column]
            if instants >> column & 1:
                if value is not None:
                    value = micros_of(value)
            elif value is True:
                value = 1
            elif value is False:
                value = 0
            Py_INCREF(value)
            PyTuple_SET_ITEM(flat, at, value)
            at += 1
    return flat


# Writing ------------------------------------------------------------------------------------------------------------


cdef class DecisionWriter:
    """`offer_bytes` gives the serialised message of an offer, and `offers` is what it has kept, by identity."""

    cdef object offer_bytes
    cdef dict offers, reasons, differs

    def __init__(self, offer_bytes, dict offers, dict differs):
        self.offer_bytes = offer_bytes
        self.offers = offers
        self.differs = differs
        self.reasons = {}

    cdef bytes _offer(self, offer):
        kept = self.offers.get(<size_t><void*>offer)
        return <bytes>((<tuple>kept)[1] if kept is not None else self.offer_bytes(offer))

    cpdef bytes write(self, decision, str name, instant, str workload_id, bytes revisions):
        """The bytes of a `Decision` that places and has neither relaxations nor an explanation; None for others."""
        cdef unsigned char buffer[MOST_BYTES]
        cdef unsigned char inner[2048]
        cdef Writer w, p
        cdef bytes offer
        cdef tuple place
        cdef double hours
        cdef int64_t nanos
        verdict, chosen, fallbacks, rejected, until, notes, relaxations, explanation, approval = <tuple>decision
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
        _put_time(&w, 3, instant)
        _put_time(&w, 4, until)
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


cdef int _put_time(Writer* w, int field, instant) except -1:
    cdef int64_t micros = micros_since_1970(instant)
    put_moment(w, field, micros // 1000000, micros % 1000000 * 1000)
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


def field_bytes(int number, bytes data):
    """The twin of `rpc.splicing.spliced`."""
    cdef unsigned char head[11]
    cdef Writer w
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    w.at, w.end, w.full = head, head + 11, 0
    put_tag(&w, number, size)
    field = PyBytes_FromStringAndSize(NULL, w.at - head + size)
    memcpy(PyBytes_AS_STRING(field), head, w.at - head)
    memcpy(PyBytes_AS_STRING(field) + (w.at - head), PyBytes_AS_STRING(data), size)
    return field


# Reading ------------------------------------------------------------------------------------------------------------


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


# The whole way ------------------------------------------------------------------------------------------------------


_RECORD = tuple(
    "project decision_id create_time workload_id verdict request response catalog_version state_revision "
    "policy_revision learned_revision commitment_revision cloud region instance_type purchase_option "
    "expected_cost_micros valid_until reserved release_time outcome context".split()
)


cdef class PlainDesk:
    """What `rpc.desk.make` does for plain requests that reserve nothing, and what is done around it.

    Every collaborator is the one that the interpreted desk has; see `rpc.plain_desk` for what each of them is.
    """

    cdef object view, clock, new_id, memo, append, reader_of, attributes, decide, encode, revisions, stands, record
    cdef DecisionWriter writer
    cdef object most

    def __init__(self, *, view, clock, new_id, memo, append, reader_of, attributes, decide, encode, revisions, stands,
                 record, DecisionWriter writer, most):
        if record._fields != _RECORD:
            raise TypeError("the fields of a record are others than this desk knows")
        self.view = view
        self.clock = clock
        self.new_id = new_id
        self.memo = memo
        self.append = append
        self.reader_of = reader_of
        self.attributes = attributes
        self.decide = decide
        self.encode = encode
        self.revisions = revisions
        self.stands = stands
        self.record = record
        self.writer = writer
        self.most = most

    cpdef bytes answer(self, bytes data, str project):
        """The logged decision on a canonical `PlaceRequest`, as bytes; None, and nothing done, for one that is not
        plain."""
        cdef tuple view = <tuple>self.view(project), chosen, offer
        cdef RequestReader reader
        cdef bytes response, depended
        snapshot, vocabulary, policies, state = view
        instant = self.clock()
        memo, key = self.memo, None
        if memo is not None:
            key = _memo_key(data)
            if key is None:
                return None
            kept = memo.find(key, view, project, instant)
            if kept is not None:
                record = kept.again(data, project, instant, self.new_id(instant))
                self.append(record)
                return record[6]
        reader = vocabulary.reader
        if reader is None:
            reader = self.reader_of(vocabulary)
        query = reader.read(data, project)
        if query is None:
            return None
        workload = query.workload
        workload_id = workload.workload_id
        policy = policies.effective(project, workload_id, partial(self.attributes, query))
        if policy.required_tags:
            return None
        decision = self.decide(query, snapshot, policy, state, instant)
        decision_id = self.new_id(instant)
        name = f"projects/{project}/decisions/{decision_id}"
        ruled, learned, owned = policy.revision, state.learned_revision, state.commitment_revision
        version = snapshot.version
        depended = self.revisions(version, ruled, learned, owned, workload.hours_per_month, workload.hours_per_year)
        response = self.writer.write(decision, name, instant, workload_id, depended)
        if response is None:
            message = self.encode(
                decision, name=name, instant=instant, workload_id=workload_id, revisions=depended
            )
            response = message.SerializeToString(deterministic=True)
        cloud = region = kind = option = ""
        cost = None
        if (<tuple>decision)[1] is not None:
            chosen = <tuple>(<tuple>decision)[1]
            offer = <tuple>chosen[0]
            cloud, region, kind, option = offer[0]._value_, offer[1], offer[3], offer[4]._value_
            cost = 0
            for term in <tuple>chosen[1]:
                cost += term
            if cost > self.most:
                cost = self.most
        record = tuple.__new__(self.record, (
            project, decision_id, instant, workload_id, (<tuple>decision)[0]._value_, data, response, version,
            max(ruled, learned, owned), ruled, learned, owned, cloud, region, kind, option, cost, (<tuple>decision)[4],
            False, None, None, None,
        ))
        if memo is not None and self.stands(workload, state, instant):
            memo.keep(key, view, project, instant, record)
        self.append(record)
        return response


cdef object _memo_key(bytes data):
    """What `rpc.memo` knows a canonical request by: the bytes of its workload, and how many fallbacks it wants."""
    cdef Reader r, work
    cdef uint64_t tag
    cdef int64_t fallbacks = -1
    r.at = <const unsigned char*>PyBytes_AS_STRING(data)
    r.end = r.at + PyBytes_GET_SIZE(data)
    r.tag = r.bad = 0
    workload = None
    while r.at < r.end:
        tag = read_tag(&r, 0)
        if tag == 10:
            work = read_part(&r)
        elif tag == 18:
            work = read_part(&r)
            if not r.bad:
                workload = PyBytes_FromStringAndSize(<char*>work.at, work.end - work.at)
        elif tag == 48:
            fallbacks = <int64_t>read_varint(&r)
        else:
            return None
        if r.bad:
            return None
    return None if workload is None else (workload, fallbacks)


cdef class PlainMethod:
    """`Place` from bytes to bytes, for callers that may."""

    cdef PlainDesk desk
    cdef object may, project_of
    cdef dict projects

    def __init__(self, PlainDesk desk, may, project_of):
        """`may` says whether a principal holds the method's role in a project; `project_of` reads the project's id
        from a name, None from what is no such name."""
        self.desk = desk
        self.may = may
        self.project_of = project_of
        self.projects = {}

    def __call__(self, bytes data, principal):
        """The answer; None where the general way has to look, or to refuse."""
        cdef Reader r, part
        r.at = <const unsigned char*>PyBytes_AS_STRING(data)
        r.end = r.at + PyBytes_GET_SIZE(data)
        r.tag = r.bad = 0
        if r.at == r.end or read_tag(&r, 0) != 10:
            return None
        part = read_part(&r)
        if r.bad or part.end - part.at > 128:
            return None
        name = PyBytes_FromStringAndSize(<char*>part.at, part.end - part.at)
        project = self.projects.get(name)
        if project is None:
            project = self.project_of(name)
            if project is None:
                return None
            if len(self.projects) >= MOST_KEPT:
                self.projects.clear()
            self.projects[name] = project
        return self.desk.answer(data, project) if self.may(principal, project) else None
