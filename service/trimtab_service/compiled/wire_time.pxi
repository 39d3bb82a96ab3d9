# Instants, the ids that are made of them, and the rows of the log, which hold them as numbers.

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
