"""Optional OpenTelemetry spans. Without the setting, or without the SDK, nothing is imported and nothing is paid."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor


class Span(Protocol):
    """An open span. A context manager that also takes the outcome."""

    def __enter__(self) -> Self:
        """Make the span current."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End the span."""

    def outcome(self, code: str) -> None:
        """Record the status code."""


OpenSpan = Callable[[str, Sequence[tuple[str, str | bytes]]], Span]
"""Opens the span of a call from its method and metadata (`traceparent` continues the caller's trace)."""


class Tracing:
    """An OpenTelemetry provider of our own, so that a test or an embedding program keeps its global one."""

    def __init__(self, ratio: float, processor: "SpanProcessor") -> None:
        """Sample `ratio` of the calls whose caller has not decided; hand finished spans to `processor`."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional, and slow to import
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)), resource=Resource.create({"service.name": "trimtab"})
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("trimtab_service")
        self._propagator = TraceContextTextMapPropagator()

    def open(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> Span:
        """Open a server span."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        carrier = {key: value for key, value in metadata if isinstance(value, str)}
        parent = self._propagator.extract(carrier)
        service, _, name = method.strip("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        return _OpenSpan(
            self._tracer.start_span(method.strip("/"), context=parent, kind=SpanKind.SERVER, attributes=attributes)
        )

    def close(self) -> None:
        """Send what is buffered."""
        self._provider.shutdown()


class _OpenSpan:
    """Makes an OpenTelemetry span current while the handler runs."""

    __slots__ = ("_scope", "_span")

    def __init__(self, span: object) -> None:
        from opentelemetry.trace import use_span  # noqa: PLC0415

        self._span = span
        self._scope = use_span(span, end_on_exit=True, record_exception=False)  # type: ignore[arg-type] # typed at the SDK's edge

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._scope.__exit__(kind, error, trace)

    def outcome(self, code: str) -> None:
        self._span.set_attribute("rpc.grpc.status_code", code)  # type: ignore[attr-defined] # typed at the SDK's edge


def open_tracing(*, enabled: bool, ratio: float) -> Tracing | None:
    """Tracing over OTLP as the standard `OTEL_*` variables say; None when it is off or not installed."""
    exporter = "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"
    if not enabled or find_spec("opentelemetry") is None or not _importable(exporter):
        return None
    from importlib import import_module  # noqa: PLC0415

    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return Tracing(ratio, BatchSpanProcessor(import_module(exporter).OTLPSpanExporter()))


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
