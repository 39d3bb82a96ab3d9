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
from libc.string cimport memcpy

from trimtab_service.domain.decisions import CostTerms, Decision, Placement, Verdict
from trimtab_service.domain.workloads import DataSet, PlaceQuery, Size, Workload

import_datetime()

cdef object _utc = UTC

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


include "wire_format.pxi"
include "wire_time.pxi"
include "wire_writing.pxi"
include "wire_reading.pxi"
include "wire_desk.pxi"
