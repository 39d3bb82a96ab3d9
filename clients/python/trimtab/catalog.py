"""Methods of `CatalogService`."""

from collections.abc import Iterator
from functools import partial

import grpc

from trimtab.calls import Caller, fresh_request_id, walk_pages
from trimtab.v1 import catalog_service_pb2 as pb
from trimtab.v1.catalog_service_pb2_grpc import CatalogServiceStub

_PATH = "/trimtab.v1.CatalogService/"
CURRENT = "catalogs/current"
"""Name of the catalogue in force."""


class Catalog:
    """What can be bought, where, for how much. Every method raises `trimtab.errors.CallError` when the call fails."""

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = CatalogServiceStub(channel)
        self._caller = caller

    def get_catalog(self, name: str = CURRENT, *, timeout: float | None = None) -> pb.Catalog:
        """Read the catalogue in force, or a kept version by name or version."""
        request = pb.GetCatalogRequest(name=_catalog_name(name))
        return self._caller.unary(self._stub.GetCatalog, _PATH + "GetCatalog", request, timeout)

    def list_catalogs(
        self, *, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Catalog]:
        """Kept versions, newest first, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListCatalogsRequest(filter=where, page_size=page_size)
        return walk_pages(partial(self.list_catalogs_page, timeout=timeout), request, lambda page: page.catalogs)

    def list_catalogs_page(
        self, request: pb.ListCatalogsRequest, *, timeout: float | None = None
    ) -> pb.ListCatalogsResponse:
        """One page of versions."""
        return self._caller.unary(self._stub.ListCatalogs, _PATH + "ListCatalogs", request, timeout)

    def list_offers(
        self, *, where: str = "", parent: str = CURRENT, page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.CatalogOffer]:
        """Offers of a catalogue, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListOffersRequest(parent=_catalog_name(parent), filter=where, page_size=page_size)
        return walk_pages(partial(self.list_offers_page, timeout=timeout), request, lambda page: page.offers)

    def list_offers_page(self, request: pb.ListOffersRequest, *, timeout: float | None = None) -> pb.ListOffersResponse:
        """One page of offers."""
        return self._caller.unary(self._stub.ListOffers, _PATH + "ListOffers", request, timeout)

    def refresh_catalog(self, *, request_id: str = "", timeout: float | None = None) -> pb.Catalog:
        """Have the server load its catalogue directory anew; answers what is in force then."""
        request = pb.RefreshCatalogRequest(request_id=request_id or fresh_request_id())
        return self._caller.unary(self._stub.RefreshCatalog, _PATH + "RefreshCatalog", request, timeout)


def _catalog_name(given: str) -> str:
    return given if "/" in given else f"catalogs/{given}"
