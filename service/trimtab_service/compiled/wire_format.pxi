# The wire format in C: what is read from bytes and what is put into them; calendar days; the slots of objects.

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
