"""The catalogue service."""

import hashlib
import re
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Final

from google.protobuf.duration_pb2 import Duration

from trimtab.v1 import catalog_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.catalog.listing import LISTED_FIELDS, ListedOffer, list_offers
from trimtab_service.catalog.loads import BasisSummary, CatalogLoad
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.errors import InvalidArgumentError, NotFoundError, Violation
from trimtab_service.domain.filters import FieldKind, matches, parse_filter
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.vocabulary import (
    ARCHITECTURE_CODE,
    BASIS_CODE,
    CLOUD_CODE,
    OPTION_CODE,
    date_of,
    money_of_nanos,
    timestamp_of,
)
from trimtab_service.store.pages import page_size

CURRENT: Final = "current"
_TOKEN: Final = re.compile(r"[0-9a-f]{13,20}\Z")
_CATALOG_FIELDS: Final = {"current": FieldKind.BOOLEAN}


class CatalogServicer:
    """Answers from the library; a refresh builds in a process of its own and is announced to other replicas."""

    def __init__(
        self, library: CatalogLibrary, clock: Callable[[], datetime], announce: Callable[[str, datetime, float], None]
    ) -> None:
        """`announce` tells other replicas of a new version, within so many seconds."""
        self._unannounced = ""
        self._library = library
        self._clock = clock
        self._announce = announce

    def get_catalog(self, request: pb.GetCatalogRequest, call: Call) -> pb.Catalog:
        """One version."""
        del call
        version = names.catalog(request.name)
        current = self._library.current
        if version in {CURRENT, current.load.version}:
            return self._encode(current.load, current=True)
        for _, load in self._library.history():
            if load.version == version:
                return self._encode(load, current=False)
        raise _unknown(version)

    def list_catalogs(self, request: pb.ListCatalogsRequest, call: Call) -> pb.ListCatalogsResponse:
        """Every version once, newest load first."""
        del call
        size = page_size(request.page_size)
        tree = parse_filter(request.filter, _CATALOG_FIELDS)
        in_force = self._library.current.load.version
        loads = {load.version: (number, load) for number, load in reversed(self._library.history())}
        newest_first = sorted(loads.values(), key=lambda entry: -entry[0])
        before = _number_of(request.page_token, f"{request.filter}")
        rows = [
            (number, load)
            for number, load in newest_first
            if (before is None or number < before) and matches(tree, partial(_fact, load.version == in_force))
        ]
        shown = rows[:size]
        return pb.ListCatalogsResponse(
            catalogs=[self._encode(load, current=load.version == in_force) for _, load in shown],
            next_page_token=_token(shown[-1][0], f"{request.filter}") if len(rows) > size else "",
        )

    def list_offers(self, request: pb.ListOffersRequest, call: Call) -> pb.ListOffersResponse:
        """Offers of one version, by cloud, region, type and option."""
        size = page_size(request.page_size)
        version = names.catalog(request.parent, "parent")
        snapshot = self._snapshot(version)
        tree = parse_filter(request.filter, LISTED_FIELDS)
        bound = f"{snapshot.version} {request.filter}"
        after = _number_of(request.page_token, bound)
        call.check()
        offers, last = list_offers(snapshot, tree, after=-1 if after is None else after, limit=size)
        return pb.ListOffersResponse(
            offers=[_encode_offer(offer) for offer in offers],
            next_page_token="" if last is None else _token(last, bound),
        )

    def refresh_catalog(self, request: pb.RefreshCatalogRequest, call: Call) -> pb.Catalog:
        """Load anew. The same request again finds the source unchanged, so it needs no record of its own.

        What could not be announced is announced by the next call: a retry, then, completes what the first began.
        """
        names.request_id(request.request_id)
        call.check()
        before = self._library.current.load.version
        loaded = self._library.refresh()
        if loaded.load.version != before:
            self._unannounced = loaded.load.version
        if self._unannounced:
            self._announce(self._unannounced, self._clock(), call.time_remaining())
            self._unannounced = ""
        return self._encode(loaded.load, current=True)

    def _snapshot(self, version: str) -> CatalogSnapshot:
        if version == CURRENT:
            return self._library.current.snapshot
        return self._library.open_version(version)

    def _encode(self, load: CatalogLoad, *, current: bool) -> pb.Catalog:
        now = self._clock()
        age = load.newest_price_age(now)
        failure = self._library.last_failure if current else None
        return pb.Catalog(
            name=f"catalogs/{load.version}",
            current=current,
            load_time=timestamp_of(load.load_time),
            price_rows=load.price_rows,
            instance_types=load.instance_types,
            regions=load.regions,
            bases=_bases(load, now.date()),
            quarantined=[
                pb.QuarantineCount(reason=count.issue.name, rows=count.rows, examples=count.examples)
                for count in load.quarantined
            ],
            warnings=load.warnings,
            newest_price_age=None if age is None else Duration(seconds=int(age.total_seconds())),
            last_refresh_failure="" if failure is None else f"{failure.reason.name}: {failure.message}",
        )


def _bases(load: CatalogLoad, today: date) -> list[pb.BasisCount]:
    """Rows by the contract's bases, each of which may stand for several of the domain's."""
    merged: dict[types_pb2.PriceBasis.ValueType, list[BasisSummary]] = {}
    for summary in load.bases:
        merged.setdefault(BASIS_CODE[summary.basis], []).append(summary)
    return [
        pb.BasisCount(
            basis=code,
            rows=sum(summary.rows for summary in summaries),
            oldest_days=max((today - summary.oldest).days for summary in summaries),
            newest_days=min((today - summary.newest).days for summary in summaries),
        )
        for code, summaries in merged.items()
    ]


def _encode_offer(offer: ListedOffer) -> pb.CatalogOffer:
    return pb.CatalogOffer(
        offer=types_pb2.Offer(
            cloud=CLOUD_CODE[offer.cloud],
            region=offer.region,
            instance_type=offer.instance_type,
            purchase_option=OPTION_CODE[offer.option],
            price_per_hour=money_of_nanos(offer.nanos_per_hour),
            price_basis=BASIS_CODE[offer.basis],
            price_as_of=date_of(offer.as_of),
        ),
        family=offer.family,
        vcpus=offer.vcpus,
        memory_gib=offer.memory_gib,
        gpu_model=offer.gpu_model,
        gpu_count=offer.gpu_count,
        gpu_memory_gib=offer.gpu_memory_gib,
        architecture=ARCHITECTURE_CODE.get(offer.architecture, types_pb2.Architecture.ARCHITECTURE_UNSPECIFIED),
        zones=offer.zones,
    )


def _fact(current: bool, field: str) -> object:  # noqa: FBT001 - bound by partial, never called by hand
    """What a filter of `ListCatalogs` may ask: only `current`."""
    del field
    return current


def _seal(bound: str) -> str:
    return hashlib.sha256(bound.encode()).hexdigest()[:12]


def _token(position: int, bound: str) -> str:
    """Opaque to callers; bound to the list that it goes on with."""
    return f"{_seal(bound)}{position:x}"


def _number_of(token: str, bound: str) -> int | None:
    """The position of a token, None for the first page. Raises InvalidArgumentError for a foreign or stale one."""
    if not token:
        return None
    if _TOKEN.match(token) and token[:12] == _seal(bound):
        return int(token[12:], 16)
    why = "was not issued for this list, catalogue version and filter"
    raise InvalidArgumentError([Violation("page_token", ErrorReason.PAGE_TOKEN_INVALID, why)])


def _unknown(version: str) -> NotFoundError:
    message = f"there is no catalogue {version}"
    return NotFoundError(ErrorReason.NOT_FOUND, message, metadata={"catalog": version})
