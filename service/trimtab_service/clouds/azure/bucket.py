"""A container of Blob Storage as replication sees it.

An object in parts is a list of blocks that is committed at the end, if the ETag is the one expected. Azure checks the
MD5 of what it is sent; the MD5 of a whole blob it only keeps, so it is compared here.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from trimtab_service.clouds.azure.connection import credential_of
from trimtab_service.clouds.azure.faults import EXTRA, NotThereError, RefusedRequestError, translated
from trimtab_service.clouds.buckets import BucketEnd, Use
from trimtab_service.clouds.encoded_words import decoded, encoded
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import PassingFault, Patience, source_failed
from trimtab_service.replication.checksums import Checksums
from trimtab_service.replication.ports import (
    ABSENT,
    Attributes,
    ChangedError,
    Content,
    CutOffError,
    GoneError,
    Head,
    Listed,
    NotAcceptedError,
    Part,
    Reading,
    Upload,
    Whole,
)

T = TypeVar("T")

BLOB: Final = "blob"
"""Name of the API in `endpoints` of the account."""
_PAGE: Final = 1_000
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED: Final = re.compile(r"_x([0-9a-f]{2,6})_")
_CHANGED: Final = frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"})
_BLOCK: Final = re.compile(r"([0-9a-f]{16})-(\d{6})")


@dataclass(frozen=True, slots=True)
class BlobContainer:
    """Implements `replication.ports.ObjectStore`. `client` is a ContainerClient that repeats nothing by itself.

    It answers a read, and sends a write, of one part with one request (`OPTIONS`).
    """

    account: str
    container: str
    client: Any
    patience: Patience

    @property
    def uri(self) -> str:
        """As the port says."""
        return f"azure://{self.account}/{self.container}"

    def page(self, prefix: str, token: str, deadline: datetime) -> Listed:
        """As the port says."""

        def ask(timeout: float) -> Listed:
            listing = self.client.list_blobs(
                name_starts_with=prefix or None, include=["metadata"], results_per_page=_PAGE, **_limits(timeout)
            )
            pages = listing.by_page(continuation_token=token or None)
            heads = tuple(map(_head, next(pages, ())))
            return Listed(heads, pages.continuation_token or "")

        return self._asked(ask, deadline)

    def head(self, key: str, deadline: datetime) -> Head:
        """As the port says."""
        blob = self.client.get_blob_client(key)
        return self._asked(lambda timeout: _head(blob.get_blob_properties(**_limits(timeout)), key), deadline)

    def read(self, key: str, version: str, start: int, length: int | None, deadline: datetime) -> Reading:
        """As the port says."""
        blob, condition = self.client.get_blob_client(key), _condition(version)

        def ask(timeout: float) -> Reading:
            stream = blob.download_blob(offset=start, length=length, decompress=False, **condition, **_limits(timeout))
            return Reading(_head(stream.properties, key) if length is None else None, self._pieces(stream))

        return self._asked(ask, deadline)

    def put(self, key: str, content: Content, expected: str, deadline: datetime) -> Head:
        """As the port says."""
        blob = self.client.get_blob_client(key)
        told = {**_attributes(content.attributes, content.checksums), **_condition(expected)}

        def ask(timeout: float) -> Any:  # noqa: ANN401 - what the SDK answers
            # The SDK forbids overwriting by a condition of its own, and takes ours when told that it may.
            return blob.upload_blob(
                content.data,
                length=len(content.data),
                overwrite=True,
                validate_content=True,
                **told,
                **_limits(timeout),
            )

        answer = self._asked(ask, deadline)
        md5 = bytes(answer.get("content_md5") or b"").hex()
        version, at = _bare(answer["etag"]), answer["last_modified"]
        return Head(key, len(content.data), version, at, Checksums(md5), content.attributes)

    def begin(self, key: str, attributes: Attributes, size: int, expected: str, deadline: datetime) -> str:
        """As the port says. Azure knows of blocks only: the handle, which follows from what is copied, names them."""
        del size, deadline
        told = repr((key, expected, sorted(attributes.metadata.items())))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def sent(self, upload: Upload, size: int, deadline: datetime) -> int:
        """As the port says; none where Azure has forgotten them, which it does after a week."""
        blob = self.client.get_blob_client(upload.key)
        try:
            _, blocks = self._asked(lambda timeout: blob.get_block_list("uncommitted", **_limits(timeout)), deadline)
        except GoneError:
            return 0
        sizes = {int(found[2]): block.size for block in blocks if (found := _named(block.id, upload.handle))}
        kept, number = 0, 1
        while kept < size and sizes.get(number) == min(upload.part_size, size - kept):
            kept += sizes[number]
            number += 1
        return kept

    def send(self, upload: Upload, part: Part, deadline: datetime) -> None:
        """As the port says."""
        blob, name = self.client.get_blob_client(upload.key), _block(upload.handle, part.number)

        def ask(timeout: float) -> None:
            blob.stage_block(name, part.data, length=len(part.data), validate_content=True, **_limits(timeout))

        self._asked(ask, deadline)

    def finish(self, upload: Upload, whole: Whole, expected: str, deadline: datetime) -> Head:
        """As the port says."""
        blob, make = self.client.get_blob_client(upload.key), sdk("azure.storage.blob", EXTRA).BlobBlock
        count = -(-whole.size // upload.part_size)
        blocks = [make(block_id=_block(upload.handle, number)) for number in range(1, count + 1)]
        told = {**_attributes(whole.attributes, whole.checksums), **_condition(expected)}
        self._asked(lambda timeout: blob.commit_block_list(blocks, **told, **_limits(timeout)), deadline)
        return self.head(upload.key, deadline)

    def discard(self, upload: Upload, deadline: datetime) -> None:
        """Nothing: blocks that no list names vanish with the next commit, or after a week."""

    def delete(self, key: str, expected: str, deadline: datetime) -> None:
        """As the port says."""
        blob, condition = self.client.get_blob_client(key), _condition(expected)
        try:
            self._asked(lambda timeout: blob.delete_blob(**condition, **_limits(timeout)), deadline)
        except GoneError:
            return

    def _asked(self, ask: Callable[[float], T], deadline: datetime) -> T:
        exceptions = sdk("azure.core.exceptions", EXTRA)
        changed = (
            exceptions.ResourceModifiedError,
            exceptions.ResourceExistsError,
            exceptions.ResourceNotModifiedError,
        )

        def attempt(timeout: float) -> T:
            try:
                return translated(lambda: _conditional(ask, timeout, changed), self.uri)
            except exceptions.AzureError as error:
                raise PassingFault(f"{self.uri}: {type(error).__name__}") from error

        try:
            return self.patience.ask(attempt, deadline)
        except NotThereError:
            raise GoneError from None
        except RefusedRequestError as error:
            if error.code in _CHANGED:
                raise ChangedError from error
            raise NotAcceptedError(f"{self.uri} does not take it ({error.code})") from error

    def _pieces(self, stream: Any) -> Iterator[bytes]:  # noqa: ANN401 - the SDK's StorageStreamDownloader
        try:
            yield from stream.chunks()
        except sdk("azure.core.exceptions", EXTRA).AzureError as error:
            raise CutOffError(f"{self.uri}: the answer was cut off ({type(error).__name__})") from error


def open_bucket(end: BucketEnd, use: Use, patience: Patience) -> BlobContainer:
    """A container of an account of kind `azure_monitor`. Raises UnavailableError (SOURCE_FAILED)."""
    url = end.account.endpoint(BLOB) or f"https://{end.storage_account}.blob.core.windows.net"
    make = sdk("azure.storage.blob", EXTRA).ContainerClient
    credential = None if url.startswith("http://") else credential_of(end.account)
    client = make(url, end.bucket, credential=credential, **options(use.part_size))
    return BlobContainer(end.storage_account, end.bucket, client, patience)


def options(part_size: int) -> dict[str, object]:
    """Options of a client for parts of a size: one request each."""
    whole = {"max_single_put_size": part_size, "max_single_get_size": part_size, "max_chunk_get_size": part_size}
    return {**whole, "retry_total": 0}


def _conditional(ask: Callable[[float], T], timeout: float, changed: tuple[type[Exception], ...]) -> T:
    try:
        return ask(timeout)
    except changed:
        raise ChangedError from None


def _limits(timeout_s: float) -> dict[str, float]:
    return {"connection_timeout": timeout_s, "read_timeout": timeout_s}


def _head(told: Any, key: str = "") -> Head:  # noqa: ANN401 - the SDK's BlobProperties
    kept = told.content_settings
    attributes = Attributes(
        kept.content_type or "",
        kept.content_encoding or "",
        kept.content_disposition or "",
        kept.content_language or "",
        kept.cache_control or "",
        decoded({_unescaped(name): value for name, value in (told.metadata or {}).items()}),
    )
    try:
        md5 = bytes(kept.content_md5 or b"").hex()
        version = _bare(told.etag)
        return Head(key or told.name, int(told.size), version, told.last_modified, Checksums(md5), attributes)
    except (TypeError, ValueError) as error:
        raise source_failed("Blob Storage told an object that is none") from error


def _attributes(attributes: Attributes, checksums: Checksums) -> dict[str, object]:
    settings = sdk("azure.storage.blob", EXTRA).ContentSettings(
        content_type=attributes.content_type or None,
        content_encoding=attributes.content_encoding or None,
        content_disposition=attributes.content_disposition or None,
        content_language=attributes.content_language or None,
        cache_control=attributes.cache_control or None,
        content_md5=bytearray.fromhex(checksums.md5) if checksums.md5 else None,
    )
    metadata = {_escaped(name): value for name, value in encoded(attributes.metadata).items()}
    return {"content_settings": settings, "metadata": metadata}


def _condition(version: str) -> dict[str, object]:
    matches = sdk("azure.core", EXTRA).MatchConditions
    if version == ABSENT:
        return {"match_condition": matches.IfMissing}
    return {"etag": f'"{version}"', "match_condition": matches.IfNotModified}


def _bare(etag: str) -> str:
    return etag.strip('"')


def _block(handle: str, number: int) -> str:
    """Names of the blocks of a blob have one length."""
    return f"{handle}-{number:06}"


def _named(name: str, handle: str) -> re.Match[str] | None:
    told = name
    if not _BLOCK.fullmatch(told):
        try:
            told = base64.b64decode(name).decode()
        except ValueError:
            return None
    found = _BLOCK.fullmatch(told)
    return found if found is not None and found[1] == handle else None


def _escaped(name: str) -> str:
    """A name of metadata as an identifier, which Azure asks for."""
    if _NAME.fullmatch(name) and not _ESCAPED.search(name):
        return name
    told = "".join(one if one.isascii() and one.isalnum() else f"_x{ord(one):02x}_" for one in name)
    return told if _NAME.match(told) else f"_x{ord(told[0]):02x}_{told[1:]}"


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)
