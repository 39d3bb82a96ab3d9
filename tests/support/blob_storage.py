"""A strict Blob Storage over HTTP, for machines without Azurite: what replication asks of it, conditions included.

It answers the SDK's own requests: blobs at once and in blocks, ranges, listings in pages, metadata, ETags. Whoever
writes has to send the MD5 of what is sent, and it has to be right.
"""

import base64
import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

_KEPT: Final = {
    "x-ms-blob-content-type": "Content-Type",
    "x-ms-blob-content-encoding": "Content-Encoding",
    "x-ms-blob-content-disposition": "Content-Disposition",
    "x-ms-blob-content-language": "Content-Language",
    "x-ms-blob-cache-control": "Cache-Control",
    "x-ms-blob-content-md5": "Content-MD5",
}
_META: Final = "x-ms-meta-"
_LONGEST_KEY: Final = 1024


@dataclass(slots=True)
class _Blob:
    data: bytes
    etag: str
    time: str
    headers: dict[str, str]
    metadata: dict[str, str]


@dataclass(slots=True)
class _Container:
    blobs: dict[str, _Blob] = field(default_factory=dict)
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


_Answer = tuple[int, dict[str, str], bytes]


class BlobStorage:
    """A context manager; `url` is the endpoint of its one account. `methods` are those of what was asked, in order."""

    def __init__(self, account: str) -> None:
        self.methods: list[str] = []
        self._account = account
        self._containers: dict[str, _Container] = {}
        self._lock = threading.Lock()
        self._count = itertools.count(1)
        storage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Nothing of each request."""

            def _any(self) -> None:
                storage._serve(self)

            do_GET = do_PUT = do_DELETE = do_HEAD = _any  # noqa: N815 - names of the base class

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}/{self._account}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        parts = urlsplit(asked.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.methods.append(asked.command)
        _, _, container, *rest = parts.path.split("/", 3)
        key = unquote(rest[0]) if rest else ""
        try:
            _signed(asked)
            with self._lock:
                status, headers, content = self._answer(asked, (container, key), query, body)
        except _RefusedError as error:
            content = f"<?xml version='1.0'?><Error><Code>{error.code}</Code><Message>no</Message></Error>".encode()
            status, headers = error.status, {"x-ms-error-code": error.code, "Content-Type": "application/xml"}
        asked.send_response(status)
        for name, value in headers.items():
            asked.send_header(name, value)
        asked.send_header("Content-Length", headers.get("X-Size", str(len(content))))
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(content)

    def _answer(
        self, asked: BaseHTTPRequestHandler, place: tuple[str, str], query: dict[str, str], body: bytes
    ) -> _Answer:
        name, key = place
        if query.get("restype") == "container" and asked.command == "PUT":
            self._containers[name] = _Container()
            return HTTPStatus.CREATED, {}, b""
        container = self._containers.get(name)
        if container is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "ContainerNotFound")
        if query.get("comp") == "list":
            return self._listed(container, query)
        if asked.command == "PUT":
            return self._written(container, key, query, (asked, body))
        blob = container.blobs.get(key)
        if query.get("comp") == "blocklist" and (blob is not None or key in container.blocks):
            return HTTPStatus.OK, {"Content-Type": "application/xml"}, _block_list(container.blocks.get(key, {}))
        if blob is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "BlobNotFound")
        _expect(blob, asked)
        if asked.command == "DELETE":
            del container.blobs[key]
            return HTTPStatus.ACCEPTED, {}, b""
        return _read(blob, asked)

    def _written(
        self, container: _Container, key: str, query: dict[str, str], sent: tuple[BaseHTTPRequestHandler, bytes]
    ) -> _Answer:
        asked, body = sent
        if query.get("comp") == "blocklist":
            _expect(container.blobs.get(key), asked)
            staged = container.blocks.get(key, {})
            names = [one.text or "" for one in ET.fromstring(body)]
            if any(one not in staged for one in names):
                raise _RefusedError(HTTPStatus.BAD_REQUEST, "InvalidBlockList")
            data = b"".join(staged[one] for one in names)
            container.blocks.pop(key, None)
            return self._kept(container, key, data, asked)
        _same_md5(body, asked.headers.get("Content-MD5"))
        if query.get("comp") == "block":
            container.blocks.setdefault(key, {})[query["blockid"]] = body
            return HTTPStatus.CREATED, {}, b""
        _expect(container.blobs.get(key), asked)
        if len(key) > _LONGEST_KEY:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "InvalidResourceName")
        return self._kept(container, key, body, asked)

    def _kept(self, container: _Container, key: str, data: bytes, asked: BaseHTTPRequestHandler) -> _Answer:
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {kept: asked.headers[name] for name, kept in _KEPT.items() if asked.headers.get(name)}
        sent = asked.headers.items()
        metadata = {name[len(_META) :]: value for name, value in sent if name.lower().startswith(_META)}
        blob = _Blob(
            data, f'"0x{next(self._count):X}"', format_datetime(datetime.now(UTC), usegmt=True), headers, metadata
        )
        blob.headers.setdefault("Content-MD5", base64.b64encode(hashlib.md5(data).digest()).decode())
        container.blobs[key] = blob
        told = {"ETag": blob.etag, "Last-Modified": blob.time, "Content-MD5": blob.headers["Content-MD5"]}
        return HTTPStatus.CREATED, told, b""

    def _listed(self, container: _Container, query: dict[str, str]) -> _Answer:
        most, after = int(query.get("maxresults", "5000")), query.get("marker", "")
        keys = sorted(key for key in container.blobs if key.startswith(query.get("prefix", "")))
        keys = [key for key in keys if key > after]
        told = "".join(_entry(key, container.blobs[key]) for key in keys[:most])
        marker = keys[most - 1] if len(keys) > most else ""
        text = (
            f"<?xml version='1.0' encoding='utf-8'?><EnumerationResults><Blobs>{told}</Blobs>"
            f"<NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
        )
        return HTTPStatus.OK, {"Content-Type": "application/xml"}, text.encode()


def _entry(key: str, blob: _Blob) -> str:
    told = {"Last-Modified": blob.time, "Etag": blob.etag.strip('"'), "Content-Length": str(len(blob.data))}
    properties = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in {**told, **blob.headers}.items())
    metadata = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in blob.metadata.items())
    return (
        f"<Blob><Name>{escape(key)}</Name><Properties>{properties}<BlobType>BlockBlob</BlobType></Properties>"
        f"<Metadata>{metadata}</Metadata></Blob>"
    )


def _block_list(blocks: dict[str, bytes]) -> bytes:
    told = "".join(f"<Block><Name>{name}</Name><Size>{len(data)}</Size></Block>" for name, data in blocks.items())
    return (
        f"<?xml version='1.0'?><BlockList><CommittedBlocks/><UncommittedBlocks>{told}</UncommittedBlocks></BlockList>"
    ).encode()


def _read(blob: _Blob, asked: BaseHTTPRequestHandler) -> _Answer:
    headers = {"ETag": blob.etag, "Last-Modified": blob.time, "x-ms-blob-type": "BlockBlob", **blob.headers}
    headers |= {f"{_META}{name}": value for name, value in blob.metadata.items()}
    span = asked.headers.get("x-ms-range") or asked.headers.get("Range")
    if span is None or asked.command == "HEAD":
        return HTTPStatus.OK, {**headers, "X-Size": str(len(blob.data))}, blob.data
    start, _, last = span.removeprefix("bytes=").partition("-")
    if int(start) >= len(blob.data):
        raise _RefusedError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "InvalidRange")
    data = blob.data[int(start) : int(last) + 1 if last else None]
    told = f"bytes {start}-{int(start) + len(data) - 1}/{len(blob.data)}"
    headers["x-ms-blob-content-md5"] = headers.pop("Content-MD5")
    return HTTPStatus.PARTIAL_CONTENT, {**headers, "Content-Range": told}, data


def _signed(asked: BaseHTTPRequestHandler) -> None:
    if not asked.headers.get("Authorization"):
        raise _RefusedError(HTTPStatus.FORBIDDEN, "AuthenticationFailed")


def _expect(blob: _Blob | None, asked: BaseHTTPRequestHandler) -> None:
    match, none_match = asked.headers.get("If-Match"), asked.headers.get("If-None-Match")
    if none_match == "*" and blob is not None:
        raise _RefusedError(HTTPStatus.CONFLICT, "BlobAlreadyExists")
    if match is not None and (blob is None or blob.etag != match):
        raise _RefusedError(HTTPStatus.PRECONDITION_FAILED, "ConditionNotMet")


def _same_md5(data: bytes, told: str | None) -> None:
    if told is None:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "MissingRequiredHeader")
    if base64.b64encode(hashlib.md5(data).digest()).decode() != told:
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "Md5Mismatch")
