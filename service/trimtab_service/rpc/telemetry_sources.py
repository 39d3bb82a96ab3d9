"""The list of telemetry sources that a project may use."""

from datetime import UTC, datetime
from typing import Final

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.filters import FieldKind, matches, parse_filter
from trimtab_service.rightsizing.ports import TelemetrySource, TelemetrySources
from trimtab_service.rpc.sizing_vocabulary import SOURCE_KIND_CODE
from trimtab_service.store.pages import Cursor, ListRequest, decode_token, encode_token, page_size

_FIELDS: Final = {"kind": FieldKind.TEXT, "account": FieldKind.TEXT, "telemetry_source": FieldKind.TEXT}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Sources have no time of creation: pages go by name alone."""


def list_sources(
    sources: TelemetrySources, project: str, request: pb.ListTelemetrySourcesRequest
) -> pb.ListTelemetrySourcesResponse:
    """A page, by name.

    Raises:
        InvalidArgumentError: a bad filter, page size or token.

    """
    asked = ListRequest("ListTelemetrySources", request.parent, request.filter, request.page_size, request.page_token)
    size, tree, cursor = page_size(asked.page_size), parse_filter(asked.filter, _FIELDS), decode_token(asked)
    shown = [
        source
        for source in sorted(sources.of_project(project), key=lambda source: source.name)
        if matches(tree, _fields(source).__getitem__) and (cursor is None or source.name > cursor.id)
    ]
    page = shown[:size]
    token = encode_token(Cursor(_EPOCH, page[-1].name), asked) if len(shown) > size else ""
    return pb.ListTelemetrySourcesResponse(
        telemetry_sources=[
            pb.TelemetrySource(telemetry_source=source.name, kind=SOURCE_KIND_CODE[source.kind], account=source.account)
            for source in page
        ],
        next_page_token=token,
    )


def _fields(source: TelemetrySource) -> dict[str, str]:
    return {"kind": source.kind.value, "account": source.account, "telemetry_source": source.name}
