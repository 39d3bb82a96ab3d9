# Placed decisions as bytes.

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
