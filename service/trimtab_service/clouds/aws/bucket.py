"""A bucket of S3 as replication sees it.

Writes are conditional (If-Match, If-None-Match), also the one that completes parts; the CRC-32 of the whole object is
given to S3, which refuses what does not have it and keeps it.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError
from botocore.httpchecksum import FlexibleChecksumError
from urllib3.exceptions import HTTPError

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.aws.session import AwsSession
from trimtab_service.clouds.buckets import BucketEnd, Use
from trimtab_service.clouds.encoded_words import decoded, encoded
from trimtab_service.clouds.patience import Patience, source_failed
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
_MD5: Final = re.compile(r'"?([0-9a-f]{32})"?')
_GONE: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED: Final = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})
_LOST: Final = frozenset({"NoSuchUpload"})
_NOT_ACCEPTED: Final = frozenset(
    {"EntityTooLarge", "InvalidArgument", "KeyTooLongError", "MetadataTooLarge", "ParamValidationError"}
)
_FIELDS: Final = {
    "ContentType": "content_type",
    "ContentEncoding": "content_encoding",
    "ContentDisposition": "content_disposition",
    "ContentLanguage": "content_language",
    "CacheControl": "cache_control",
}


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """Implements `replication.ports.ObjectStore`."""

    bucket: str
    region: str
    calls: AwsCalls

    @property
    def uri(self) -> str:
        """As the port says."""
        return f"s3://{self.bucket}"

    def page(self, prefix: str, token: str, deadline: datetime) -> Listed:
        """As the port says."""
        asked: dict[str, object] = {"Prefix": prefix}
        if token:
            asked["ContinuationToken"] = token
        answer = self._call("ListObjectsV2", asked, deadline)
        heads = tuple(_listed(one) for one in answer.get("Contents", ()))
        return Listed(heads, str(answer.get("NextContinuationToken", "")))

    def head(self, key: str, deadline: datetime) -> Head:
        """As the port says."""
        return _head(key, self._call("HeadObject", {"Key": key, "ChecksumMode": "ENABLED"}, deadline))

    def read(self, key: str, version: str, start: int, length: int | None, deadline: datetime) -> Reading:
        """As the port says."""
        asked: dict[str, object] = {"Key": key, "IfMatch": version}
        if length is None:
            asked["ChecksumMode"] = "ENABLED"
        else:
            asked["Range"] = f"bytes={start}-{start + length - 1}"
        answer = self._call("GetObject", asked, deadline)
        head = _head(key, answer) if length is None else None
        return Reading(head, self._pieces(answer["Body"], deadline))

    def put(self, key: str, content: Content, expected: str, deadline: datetime) -> Head:
        """As the port says."""
        asked = {
            "Key": key,
            "Body": content.data,
            "ChecksumCRC32": base64_of(content.checksums.crc32),
            **_condition(expected),
            **_attributes(content.attributes),
        }
        answer = self._call("PutObject", asked, deadline)
        stored = Checksums(_md5(answer), crc32=hex_of(str(answer.get("ChecksumCRC32", ""))))
        now = self.calls.patience.clock()
        return Head(key, len(content.data), str(answer["ETag"]), now, stored, content.attributes)

    def begin(self, key: str, attributes: Attributes, size: int, expected: str, deadline: datetime) -> str:
        """As the port says; S3 looks at the condition at the end only."""
        del size, expected
        whole = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
        answer = self._call("CreateMultipartUpload", {"Key": key, **whole, **_attributes(attributes)}, deadline)
        return str(answer["UploadId"])

    def sent(self, upload: Upload, size: int, deadline: datetime) -> int:
        """As the port says."""
        return sum(int(part["Size"]) for part in self._parts(upload, size, deadline))

    def send(self, upload: Upload, part: Part, deadline: datetime) -> None:
        """As the port says. S3 checks the MD5 of each part."""
        digest = hashlib.md5(part.data, usedforsecurity=False).digest()
        asked = {
            **_named(upload),
            "PartNumber": part.number,
            "Body": part.data,
            "ContentMD5": base64.b64encode(digest).decode(),
            "ChecksumCRC32": base64_of(f"{zlib.crc32(part.data):08x}"),
        }
        self._call("UploadPart", asked, deadline)

    def finish(self, upload: Upload, whole: Whole, expected: str, deadline: datetime) -> Head:
        """As the port says."""
        parts = [
            {name: part[name] for name in ("PartNumber", "ETag", "ChecksumCRC32") if name in part}
            for part in self._parts(upload, whole.size, deadline)
        ]
        asked = {
            **_named(upload),
            "MultipartUpload": {"Parts": parts},
            "ChecksumCRC32": base64_of(whole.checksums.crc32),
            "ChecksumType": "FULL_OBJECT",
            "MpuObjectSize": whole.size,
            **_condition(expected),
        }
        self._call("CompleteMultipartUpload", asked, deadline)
        return self.head(upload.key, deadline)

    def discard(self, upload: Upload, deadline: datetime) -> None:
        """As the port says."""
        try:
            self._call("AbortMultipartUpload", _named(upload), deadline)
        except (GoneError, LostUploadError):
            return

    def delete(self, key: str, expected: str, deadline: datetime) -> None:
        """As the port says."""
        try:
            self._call("DeleteObject", {"Key": key, "IfMatch": expected}, deadline)
        except GoneError:
            return

    def _parts(self, upload: Upload, size: int, deadline: datetime) -> Iterator[Mapping[str, Any]]:
        """Parts in order, as long as each is whole."""
        asked: dict[str, object] = dict(_named(upload))
        number = 1
        while True:
            answer = self._call("ListParts", asked, deadline)
            for part in answer.get("Parts", ()):
                whole = min(upload.part_size, size - (number - 1) * upload.part_size)
                if (part["PartNumber"], part["Size"]) != (number, whole):
                    return
                number += 1
                yield part
            if not answer.get("IsTruncated"):
                return
            asked["PartNumberMarker"] = answer["NextPartNumberMarker"]

    def _pieces(self, body: Any, deadline: datetime) -> Iterator[bytes]:  # noqa: ANN401 - botocore's StreamingBody
        try:
            while piece := body.read(_PIECE):
                yield piece
                if self.calls.patience.clock() > deadline:
                    raise CutOffError(f"{self.uri}: the bytes came too slowly")
        except (BotoCoreError, FlexibleChecksumError, HTTPError, OSError) as error:
            raise CutOffError(f"{self.uri}: the answer was cut off ({type(error).__name__})") from error
        finally:
            body.close()

    def _call(self, operation: str, asked: Mapping[str, object], deadline: datetime) -> dict[str, Any]:
        try:
            return self.calls.call("s3", self.region, operation, {"Bucket": self.bucket, **asked}, deadline)
        except RefusedError as error:
            raise _meant(error) from error


def open_bucket(end: BucketEnd, use: Use, patience: Patience) -> S3Bucket:
    """A bucket of an account of kind `cloudwatch`."""
    account = replace(end.account, concurrency=max(end.account.concurrency, use.concurrency))
    return S3Bucket(end.bucket, end.region, AwsCalls(account, AwsSession(account, lambda *_: None), patience))


def _meant(error: RefusedError) -> Exception:
    if error.code in _GONE:
        return GoneError()
    if error.code in _CHANGED:
        return ChangedError()
    if error.code in _LOST:
        return LostUploadError()
    if error.code in _NOT_ACCEPTED:
        return NotAcceptedError(str(error))
    return source_failed(str(error))


def _listed(told: Mapping[str, Any]) -> Head:
    return Head(str(told["Key"]), int(told["Size"]), str(told["ETag"]), told["LastModified"], Checksums(_md5(told)))


def _head(key: str, told: Mapping[str, Any]) -> Head:
    texts = {name: str(told.get(field, "")) for field, name in _FIELDS.items()}
    attributes = Attributes(**texts, metadata=decoded(told.get("Metadata", {})))
    checksums = Checksums(
        _md5(told),
        hex_of(str(told.get("ChecksumSHA256", ""))),
        hex_of(str(told.get("ChecksumCRC32", ""))),
        hex_of(str(told.get("ChecksumCRC32C", ""))),
    )
    size, at = int(told["ContentLength"]), told["LastModified"]
    return Head(key, size, str(told["ETag"]), at, checksums, attributes)


def _md5(told: Mapping[str, Any]) -> str:
    """The ETag, where it is the MD5: not of parts, and not under a key of KMS or of the customer."""
    found = _MD5.fullmatch(str(told.get("ETag", "")))
    plain = told.get("ServerSideEncryption", "AES256") == "AES256" and not told.get("SSECustomerAlgorithm")
    return found[1] if found is not None and plain else ""


def _condition(expected: str) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if expected == ABSENT else {"IfMatch": expected}


def _attributes(attributes: Attributes) -> dict[str, object]:
    told = {field: getattr(attributes, name) for field, name in _FIELDS.items()}
    return {**{field: value for field, value in told.items() if value}, "Metadata": encoded(attributes.metadata)}


def _named(upload: Upload) -> dict[str, object]:
    return {"Key": upload.key, "UploadId": upload.handle}
