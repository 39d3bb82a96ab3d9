# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=False, infer_types=False
"""The compiled form of a decision: the same search and the same answer as the engine's, over C arrays.

It knows what most callers send: a size, on demand and spot, places to run, data to read, deny lists, blocked offers,
checkpoints, a deadline, policies, and what a project has learned. For the rest (a current place, quotas, owned room,
reservations, users, services, a tolerance, a cost too large) it gives None, and the engine decides.
"""

from datetime import timedelta

import numpy as np
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.object cimport PyObject
from libc.math cimport INFINITY, exp, expm1, sqrt
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from trimtab_service.catalog.snapshot import EPOCH, OPTION_COUNT, day_of
from trimtab_service.domain.decisions import (
    ChosenOffer, CostTerms, Decision, FailureDomain, Fallback, Placement, Verdict,
)
from trimtab_service.domain.offers import CLOUDS, PRICE_BASES, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import (
    DataSet, GpuNeed, Interruption, OfferPattern, PlaceQuery, RegionKey, Residency, Size, Workload,
)
from trimtab_service.placement.answer import AGE_NOTE, BASIS_NOTE, OFFER_WORDS, STALE_AFTER_DAYS
from trimtab_service.placement.interruptions import (
    DEFAULT_WAIT_HOURS, EXPONENT_LIMIT, NEVER_FINISHES_FACTOR, RISK_RATES,
)
from trimtab_service.placement.learned import NOTHING_LEARNED
from trimtab_service.placement.options import ALL_OPTIONS, OPTION_OF_CODE, option_bits
from trimtab_service.placement.permits import policy_permits
from trimtab_service.placement.rates import PRIOR_HOURS
from trimtab_service.placement.scan import OFFER_ORDER
from trimtab_service.placement.spot import DECISION_TICK_HOURS, RATE_OF_BUCKET
from trimtab_service.placement.state import ProjectState

cdef enum:
    MOST_REGIONS = 256
    REGION_WORDS = 4
    MOST_CELLS = 512
    TYPE_WORDS = 128
    MOST_TYPES = 8192
    MOST_PICKS = 16
    MOST_GEOGRAPHIES = 64
    MOST_PATTERNS = 32
    MOST_READS = 32
    MOST_CLOUDS = 4
    BUCKETS = 6
    MOST_STEPS = 9  # policy, family, type, the type named, GPUs, size, architecture, disk, network
    MEMO = 64
    FEW_TYPES = 64

include "kernel_arithmetic.pxi"
include "kernel_slots.pxi"
include "kernel_spot.pxi"
include "kernel_sizes.pxi"
include "kernel_catalog.pxi"
include "kernel_state.pxi"
include "kernel_ask.pxi"
include "kernel_search.pxi"
include "kernel_rejections.pxi"
include "kernel_answer.pxi"


cdef class Kernel:
    """Decides on one catalogue. `index` is its `SearchIndex`."""

    cdef Catalog catalog

    def __init__(self, index):
        self.catalog = Catalog(index)

    def decide(self, query, policy, state, instant, valid):
        """The decision; infeasible without relaxations; None where the engine has to look."""
        cdef Ask ask
        cdef Catalog catalog = self.catalog
        cdef Learned kept
        cdef Rules rules
        cdef int today
        cdef Rates rates = None
        cdef Blocks blocks = None
        if type(query) is not PlaceQuery or type(state) is not ProjectState:
            return None
        work = slot(query, at_work)
        rules = catalog.rules(policy)
        today = instant.toordinal() - _epoch_ordinal
        if rules is None or not read_work(&ask, query, work, state, rules, today):
            return None
        ask.effort.left = INFINITY
        if is_set(work, at_deadline):
            ask.effort.left = (slot(work, at_deadline) - instant).total_seconds() / 3600.0
        learned = slot(state, at_learned)
        ask.rates = NULL
        ask.blocks = NULL
        if learned is not NOTHING_LEARNED:
            kept = catalog.learned(learned, instant)
            rates, blocks = kept.rates, kept.blocks
            if rates is not None:
                ask.rates = &rates.table
            if blocks is not None:
                ask.blocks = blocks.patterns
                ask.first_block = blocks.first
        counts = read_places(catalog, &ask, work, rules)
        if (
            counts is None
            or not read_patterns(catalog, &ask, work)
            or not read_egress(catalog, &ask, work)
            or not read_sizes(catalog, &ask, work, rules)
            or not search(catalog, &ask)
        ):
            return None
        return answer(catalog, &ask, work, counts, rules, rates, blocks, today, instant, valid)

    def next_spot(self, bytes ok, bytes learned, int seen, int k, int end):
        """The first spot offer of a cell from k on that is of `ok` types and of a rate not `seen`; -1 for none.

        `seen` are bits of buckets whose rate was looked at. It tells nothing of `learned` types, whose rates are
        their own.
        """
        cdef const unsigned char* types = <const unsigned char*>PyBytes_AS_STRING(ok)
        cdef const unsigned char* own = <const unsigned char*>PyBytes_AS_STRING(learned)
        cdef int t
        while k < end:
            t = self.catalog.offers[k].t
            if (types[t >> 3] >> (t & 7)) & 1:
                if (own[t >> 3] >> (t & 7)) & 1 or not seen >> self.catalog.offers[k].bucket & 1:
                    return k
            k += 1
        return -1

    def rate_bit(self, k):
        """The bit of offer k's bucket in `seen`."""
        return 1 << self.catalog.offers[<int>k].bucket


def kernel_of(index):
    """The kernel of a catalogue; None for one that is larger than it provides for."""
    snapshot = index.snapshot
    fits = (
        index.region_count <= MOST_REGIONS
        and len(snapshot.type_names) <= MOST_TYPES
        and snapshot.egress.internet_tier_from_gib.shape[1] <= MOST_GEOGRAPHIES
        and len(CLOUDS) <= MOST_CLOUDS
    )
    return Kernel(index) if fits else None
