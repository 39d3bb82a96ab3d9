"""A bucket of Cloud Storage as replication sees it.

An object in parts is a resumable upload: Cloud Storage says itself how far it is, and the last part makes the object,
if the generation is the one expected. CRC-32C and MD5 go with the request, so that what does not have them is refused.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlsplit

from trimtab_service.clouds.buckets import BucketEnd, Use
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.gcp.bucket_watermark import BASE_URL, STORAGE
from trimtab_service.clouds.gcp.connection import credentials_of
from trimtab_service.clouds.gcp.faults import EXTRA, of_status, translated
from trimtab_service.clouds.gcp.rest import authorized
from trimtab_service.clouds.patience import PassingFault, Patience, source_failed
from trimtab_service.replication.checksums import Checksums, base64_of, hex_of
from trimtab_service.replication.ports import (
    ABSENT,
    Attributes,
    ChangedError,
    Content,
    CutOffError,
    GoneError,
    Head,
    Listed,
    LostUploadError,
    NotAcceptedError,
    Part,
    Reading,
    Upload,
    Whole,
)

_PIECE: Final = 1 << 18
_GRAIN: Final = 1 << 18
"""Parts of a resumable upload are multiples of it, but for the last."""
_RESUME: Final = 308
_FIELDS: Final = {
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "contentDisposition": "content_disposition",
    "contentLanguage": "content_language",
    "cacheControl": "cache_control",
}
_TOLD: Final = ",".join(("name", "size", "generation", "updated", "md5Hash", "crc32c", "metadata", *_FIELDS))
_MEANT: Final[dict[int, type[Exception]]] = {
    HTTPStatus.NOT_FOUND: GoneError,
    HTTPStatus.PRECONDITION_FAILED: ChangedError,
    HTTPStatus.GONE: LostUploadError,
}


@dataclass(frozen=True, slots=True)
class GcsBucket:
    """Implements `replication.ports.ObjectStore`. `session` is google-auth's AuthorizedSession."""

    bucket: str
    session: Any
    base_url: str
    patience: Patience

    @property
    def uri(self) -> str:
        """As the port says."""
        return f"gs://{self.bucket}"

    def page(self, prefix: str, token: str, deadline: datetime) -> Listed:
        """As the port says."""
        query = {"prefix": prefix, "pageToken": token, "maxResults": "1000", "fields": f"nextPageToken,items({_TOLD})"}
        answer = self._asked("GET", f"/storage/v1/b/{quote(self.bucket, safe='')}/o", query, deadline).json()
        return Listed(tuple(map(_head, answer.get("items", ()))), str(answer.get("nextPageToken", "")))

    def head(self, key: str, deadline: datetime) -> Head:
        """As the port says."""
        return _head(self._asked("GET", self._path(key), {"fields": _TOLD}, deadline).json())

    def read(self, key: str, version: str, start: int, length: int | None, deadline: datetime) -> Reading:
        """As the port says. Compressed objects come as they are stored."""
        headers = {"Accept-Encoding": "gzip"}
        if length is not None:
            headers["Range"] = f"bytes={start}-{start + length - 1}"
        query = {"alt": "media", "ifGenerationMatch": version}
        reply = self._asked("GET", self._path(key), query, deadline, headers=headers, stream=True)
        if str(reply.headers.get("X-Goog-Generation", version)) != version:
            reply.close()
            raise ChangedError
        return Reading(None, self._pieces(reply, deadline))

    def put(self, key: str, content: Content, expected: str, deadline: datetime) -> Head:
        """As the port says."""
        told = {"name": key, **_resource(content.attributes), **_hashes(content.checksums)}
        boundary = secrets.token_hex(16)
        kind = content.attributes.content_type or "application/octet-stream"
        head = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(told)}\r\n"
            f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n"
        )
        body = b"".join((head.encode(), content.data, f"\r\n--{boundary}--\r\n".encode()))
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        query = {"uploadType": "multipart", **_condition(expected)}
        return _head(self._asked("POST", self._uploads(), query, deadline, headers=headers, data=body).json())

    def begin(self, key: str, attributes: Attributes, size: int, expected: str, deadline: datetime) -> str:
        """As the port says. The handle is the path of the session: it gives access to this one object for a week."""
        headers = {"X-Upload-Content-Length": str(size), "Content-Type": "application/json; charset=UTF-8"}
        if attributes.content_type:
            headers["X-Upload-Content-Type"] = attributes.content_type
        query = {"uploadType": "resumable", **_condition(expected)}
        told = json.dumps({"name": key, **_resource(attributes)}).encode()
        reply = self._asked("POST", self._uploads(), query, deadline, headers=headers, data=told)
        session = urlsplit(str(reply.headers["Location"]))
        return f"{session.path}?{session.query}"

    def sent(self, upload: Upload, size: int, deadline: datetime) -> int:
        """As the port says; here to the byte."""
        return self.patience.ask(lambda timeout: self._kept(upload, size, timeout), deadline)

    def send(self, upload: Upload, part: Part, deadline: datetime) -> None:
        """As the port says."""
        end = part.start + len(part.data)
        if end < part.total and len(part.data) % _GRAIN:
            raise NotAcceptedError(f"parts of an object of Cloud Storage are multiples of {_GRAIN} bytes")
        headers = {"Content-Range": f"bytes {part.start}-{end - 1}/{part.total}"}
        tries = 0

        def attempt(timeout: float) -> None:
            nonlocal tries
            tries += 1
            if tries > 1 and self._kept(upload, part.total, timeout) >= end:
                return
            reply = self._sent("PUT", upload.handle, timeout, headers=headers, data=part.data)
            if end < part.total and (reply.status_code != _RESUME or _until(reply) != end):
                raise PassingFault("Cloud Storage did not keep a part")

        try:
            self.patience.ask(attempt, deadline)
        except GoneError:
            raise LostUploadError from None

    def finish(self, upload: Upload, whole: Whole, expected: str, deadline: datetime) -> Head:
        """As the port says: the last part did it."""
        del whole, expected
        return self.head(upload.key, deadline)

    def discard(self, upload: Upload, deadline: datetime) -> None:
        """As the port says."""
        reply = self.patience.ask(
            lambda timeout: self._raw("DELETE", upload.handle, timeout, headers={"Content-Length": "0"}), deadline
        )
        reply.close()

    def delete(self, key: str, expected: str, deadline: datetime) -> None:
        """As the port says."""
        try:
            self._asked("DELETE", self._path(key), {"ifGenerationMatch": expected}, deadline)
        except GoneError:
            return

    def _kept(self, upload: Upload, size: int, timeout: float) -> int:
        headers = {"Content-Range": "bytes */*", "Content-Length": "0"}
        try:
            reply = self._sent("PUT", upload.handle, timeout, headers=headers)
        except GoneError:
            raise LostUploadError from None
        return _until(reply) if reply.status_code == _RESUME else size

    def _path(self, key: str) -> str:
        return f"/storage/v1/b/{quote(self.bucket, safe='')}/o/{quote(key, safe='')}"

    def _uploads(self) -> str:
        return f"/upload/storage/v1/b/{quote(self.bucket, safe='')}/o"

    def _asked(self, method: str, path: str, query: Mapping[str, str], deadline: datetime, **more: object) -> Any:  # noqa: ANN401 - requests' Response
        return self.patience.ask(lambda timeout: self._sent(method, path, timeout, params=query, **more), deadline)

    def _sent(self, method: str, path: str, timeout: float, **more: object) -> Any:  # noqa: ANN401 - as above
        reply = self._raw(method, path, timeout, **more)
        status = int(reply.status_code)
        if status < HTTPStatus.BAD_REQUEST:
            return reply
        reply.close()
        if status in _MEANT:
            raise _MEANT[status]
        if status == HTTPStatus.BAD_REQUEST and method == "POST":
            raise NotAcceptedError(f"{self.uri} does not take the object: key, metadata or checksum (400)")
        raise of_status(status, self.uri, _wait_s(reply))

    def _raw(self, method: str, path: str, timeout: float, **more: object) -> Any:  # noqa: ANN401 - as above
        limits = {"timeout": timeout, "max_allowed_time": timeout, "allow_redirects": False}
        return translated(lambda: self.session.request(method, f"{self.base_url}{path}", **more, **limits), self.uri)

    def _pieces(self, reply: Any, deadline: datetime) -> Iterator[bytes]:  # noqa: ANN401 - as above
        broken = sdk("urllib3.exceptions", EXTRA).HTTPError
        try:
            for piece in reply.raw.stream(_PIECE, decode_content=False):
                yield piece
                if self.patience.clock() > deadline:
                    raise CutOffError(f"{self.uri}: the bytes came too slowly")
        except (broken, OSError) as error:
            raise CutOffError(f"{self.uri}: the answer was cut off ({type(error).__name__})") from error
        finally:
            reply.close()


def open_bucket(end: BucketEnd, use: Use, patience: Patience) -> GcsBucket:
    """A bucket of an account of kind `cloud_monitoring`. Raises UnavailableError (SOURCE_FAILED)."""
    session = pooled(authorized(credentials_of(end.account, STORAGE)), use.concurrency + 2)
    return GcsBucket(end.bucket, session, end.account.endpoint(STORAGE) or BASE_URL, patience)


def pooled(session: Any, size: int) -> Any:  # noqa: ANN401 - google-auth's session
    """The session, with connections for so many threads."""
    adapters = sdk("requests.adapters", EXTRA)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapters.HTTPAdapter(pool_maxsize=size))
    return session


def _head(told: Mapping[str, Any]) -> Head:
    texts = {name: str(told.get(field, "")) for field, name in _FIELDS.items()}
    metadata = MappingProxyType({str(name): str(value) for name, value in (told.get("metadata") or {}).items()})
    try:
        return Head(
            str(told["name"]),
            int(told["size"]),
            str(told["generation"]),
            datetime.fromisoformat(told["updated"]),
            Checksums(md5=hex_of(str(told.get("md5Hash", ""))), crc32c=hex_of(str(told.get("crc32c", "")))),
            Attributes(**texts, metadata=metadata),
        )
    except (KeyError, ValueError) as error:
        raise source_failed("Cloud Storage told an object that is none") from error


def _resource(attributes: Attributes) -> dict[str, object]:
    told = {field: getattr(attributes, name) for field, name in _FIELDS.items()}
    return {**{field: value for field, value in told.items() if value}, "metadata": dict(attributes.metadata)}


def _hashes(checksums: Checksums) -> dict[str, str]:
    told = {"md5Hash": checksums.md5, "crc32c": checksums.crc32c}
    return {name: base64_of(value) for name, value in told.items() if value}


def _condition(expected: str) -> dict[str, str]:
    return {"ifGenerationMatch": "0" if expected == ABSENT else expected}


def _until(reply: Any) -> int:  # noqa: ANN401 - as above
    """Bytes that are kept, of an answer that asks for more."""
    told = str(reply.headers.get("Range", ""))
    return int(told.rpartition("-")[2]) + 1 if told else 0


def _wait_s(reply: Any) -> float | None:  # noqa: ANN401 - as above
    said = str(reply.headers.get("Retry-After", ""))
    return float(said) if said.isdigit() else None
