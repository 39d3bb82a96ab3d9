"""AWS on a real port: moto, with faults to order in front of it, and what moto has not or not as AWS has it.

That is a strict CloudWatch, instance refreshes, and SageMaker's UpdateEndpoint.

moto keeps its state in the process, so one server at a time; it begins empty.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sagemaker.models import sagemaker_backends
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from tests.support.instance_refreshes import InstanceRefreshes
from tests.support.strict_cloudwatch import Refusal, StrictCloudWatch

ACCOUNT: Final = "123456789012"
"""The account of callers who assumed no role."""

_CREDENTIAL: Final = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_SAGEMAKER: Final = "sagemaker"
_XML: Final = (
    "<Response><Errors><Error><Code>{code}</Code><Message>{code}</Message></Error></Errors>"
    "<Error><Type>Sender</Type><Code>{code}</Code><Message>{code}</Message></Error></Response>"
)


class _Quiet(WSGIRequestHandler):
    """Says nothing of each request."""

    def log(self, *_: object) -> None:
        """As the class says."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it arrived: the service and region it was signed for, by whom, and what it asks."""

    service: str
    region: str
    access_key: str
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Fault:
    """Befalls the next `times` requests for `operation` that `when` holds of.

    An error of AWS (`code`), silence until the server stops (`hangs`), or a false answer: `alter` gets the JSON body of
    the true one.
    """

    operation: str
    code: str = ""
    status: int = 400
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    alter: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    when: Callable[[Sent], bool] = lambda _: True


class MotoServer:
    """A context manager; `url` is every service's endpoint. `sent` are the requests, `faults` what befalls them."""

    def __init__(self, *, strict: bool = True) -> None:
        self.sent: list[Sent] = []
        self.faults: list[Fault] = []
        self.cloudwatch = StrictCloudWatch()
        self.instance_refreshes = InstanceRefreshes(ACCOUNT)
        self._strict = strict
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def operations(self) -> list[str]:
        """Names of what was asked, in order."""
        return [one.operation for one in self.sent]

    def __enter__(self) -> Self:
        moto_api_backend.reset()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, environ: Any, start: Any) -> Iterable[bytes]:  # noqa: ANN401 - WSGI
        request = Request(environ)
        body = request.get_data(cache=True)
        sent = _sent(request, body)
        with self._lock:
            self.sent.append(sent)
            fault = next((one for one in self.faults if one.operation == sent.operation and one.when(sent)), None)
            if fault is not None:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
        if fault is not None and fault.hangs:
            self._released.wait()
        if fault is not None and fault.code:
            return _error(request, fault.code, fault.status, fault.headers)(environ, start)
        response = self._answer(request, sent, body)
        if fault is not None and fault.alter is not None:
            altered = fault.alter(json.loads(response.get_data()))
            response = Response(json.dumps(altered), content_type=response.content_type)
        return response(environ, start)

    def _answer(self, request: Request, sent: Sent, body: bytes) -> Response:
        try:
            if self._strict and sent.service == "monitoring" and hasattr(self.cloudwatch, sent.operation):
                found = getattr(self.cloudwatch, sent.operation)(sent.region, json.loads(body))
                return Response(json.dumps(found), content_type="application/x-amz-json-1.0")
            if sent.operation == "UpdateEndpoint":
                return Response(json.dumps(_update_endpoint(sent.region, json.loads(body))))
            if sent.service == "autoscaling":
                told = self.instance_refreshes.answer(sent.region, sent.operation, sent.parameters)
                if told is not None:
                    return Response(told, content_type="text/xml")
        except Refusal as refusal:
            return _error(request, refusal.code, 400, {})
        # moto reads the body itself; werkzeug has kept it.
        captured: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
            captured[:] = [status, headers]
            return lambda _: None

        environ = dict(request.environ)
        environ["wsgi.input"] = BytesIO(body)
        content = b"".join(self._moto(environ, start))
        headers = [(name, value) for name, value in captured[1] if name.lower() != "content-length"]
        return Response(content, status=captured[0], headers=headers)


def _sent(request: Request, body: bytes) -> Sent:
    signed = _CREDENTIAL.search(request.headers.get("Authorization", ""))
    access_key, region, service = signed.groups() if signed else ("", "", "")
    target = request.headers.get("X-Amz-Target", "")
    if target:
        return Sent(service, region, access_key, target.partition(".")[2], json.loads(body or b"{}"))
    form = {key: values[-1] for key, values in parse_qs(body.decode()).items()}
    return Sent(service, region, access_key, form.get("Action", ""), form)


def _error(request: Request, code: str, status: int, headers: dict[str, str]) -> Response:
    if request.headers.get("X-Amz-Target"):
        text, kind = json.dumps({"__type": code, "message": code}), "application/x-amz-json-1.0"
    else:
        text, kind = _XML.format(code=code), "text/xml"
    return Response(text, status=status, headers=headers, content_type=kind)


def _update_endpoint(region: str, asked: dict[str, Any]) -> dict[str, str]:
    """Moto has no UpdateEndpoint: the endpoint takes over the variants of the configuration, as SageMaker does."""
    backend = sagemaker_backends[ACCOUNT][region]
    endpoint = backend.endpoints.get(asked["EndpointName"])
    config = backend.endpoint_configs.get(asked["EndpointConfigName"])
    if endpoint is None or config is None:
        raise Refusal("ValidationException")
    endpoint.endpoint_config_name = asked["EndpointConfigName"]
    endpoint.production_variants = endpoint._process_production_variants(config.production_variants)
    return {"EndpointArn": endpoint.arn}
