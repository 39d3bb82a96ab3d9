"""What a replication calls is what `deploy/iam` allows: nothing beyond it, and nothing in it unused."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.blob_storage import BlobStorage
from tests.support.object_stores import (
    AZURITE_ACCOUNT,
    CRC32C,
    PART,
    blob_container,
    content,
    fresh_name,
    gcs_bucket,
    s3_bucket,
    s3_client,
    s3_server,
)
from tests.support.replications import RememberedJournal
from tests.support.strict_gcs import StrictGcs
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.copying import Around
from trimtab_service.replication.definition import Deletes, Replication
from trimtab_service.replication.passing import Pass
from trimtab_service.replication.ports import ABSENT, ObjectStore, Upload

_IAM: Final = Path(__file__).parents[3] / "deploy" / "iam"
_S3: Final = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListParts": "s3:ListMultipartUploadParts",
    "DeleteObject": "s3:DeleteObject",
}
"""The right that each operation asks for, by AWS's service authorization reference."""


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def _everything(make: Callable[[str], ObjectStore]) -> None:
    """Copies at once and in parts, one of them begun before, an overwriting, a deletion, a copy that is given up."""
    source, destination = make(fresh_name()), make(fresh_name())
    until = now() + timedelta(seconds=60)
    for key in ("a", "b"):
        source.put(key, content(key.encode()), ABSENT, until)
    source.put("big", content(bytes(PART + 10)), ABSENT, until)
    journal = RememberedJournal()

    def run() -> None:
        definition = Replication(
            name="copy",
            projects=frozenset({"*"}),
            source=source.uri,
            destination=destination.uri,
            deletes=Deletes.PROPAGATE,
            part_size=PART,
            concurrency=1,
        )
        around = Around(
            source=source,
            destination=destination,
            journal=journal,
            held=journal.held("copy"),
            bandwidth=Bandwidth(None, lambda: 0.0, lambda _: None),
            part_size=PART,
            crc32c=CRC32C,
            check=lambda: None,
            clock=now,
            call_time=timedelta(seconds=30),
        )
        journal.progress = Pass(definition, around, journal.progress).run()
        assert journal.progress.fault == ""

    run()
    source.put("a", content(b"again"), source.head("a", until).version, until)
    source.delete("b", source.head("b", until).version, until)
    run()
    begun = destination.begin("left", content(b"").attributes, PART + 10, ABSENT, until)
    upload = Upload("left", begun, PART)
    assert destination.sent(upload, PART + 10, until) == 0
    destination.discard(upload, until)


def test_the_aws_policy_is_what_is_called() -> None:
    """Every operation of every call, mapped to the right that it asks for."""
    called: set[str] = set()
    with s3_server() as url:

        def make(name: str) -> ObjectStore:
            s3_client(url).create_bucket(Bucket=name)
            return s3_bucket(url, name, on_call=lambda _, operation: called.add(_S3[operation]))

        _everything(make)
    document = json.loads((_IAM / "aws-replication.json").read_text(encoding="utf-8"))
    allowed = [one["Action"] for one in document["Statement"]]
    assert called == {one for each in allowed for one in ([each] if isinstance(each, str) else each)}


def test_the_google_role_is_what_is_called() -> None:
    """By method and path; an upload over an object deletes it as well."""
    with StrictGcs() as gcs:

        def make(name: str) -> ObjectStore:
            gcs.create_bucket(name)
            return gcs_bucket(gcs.url, name)

        _everything(make)
        called = {_google(method, path) for method, path in gcs.sent}
    role = yaml.safe_load((_IAM / "gcp-replication.yaml").read_text(encoding="utf-8"))
    assert called == set(role["includedPermissions"])


def _google(method: str, path: str) -> str:
    if path.startswith("/upload/"):
        return "storage.objects.create"
    if method == "DELETE":
        return "storage.objects.delete"
    return "storage.objects.list" if path.endswith("/o") else "storage.objects.get"


def test_the_azure_role_is_what_is_called() -> None:
    """By method: listing blobs and lists of blocks is reading."""
    rights: Final = {"GET": "read", "HEAD": "read", "PUT": "write", "DELETE": "delete"}
    with ExitStack() as stack:
        storage = stack.enter_context(BlobStorage(AZURITE_ACCOUNT))

        def make(name: str) -> ObjectStore:
            container = blob_container(storage.url, name, part_size=2 * PART)
            container.client.create_container()
            return container

        _everything(make)
        called = {rights[method] for method in storage.methods}
    role: Any = json.loads((_IAM / "azure-replication.json").read_text(encoding="utf-8"))
    assert {f"Microsoft.Storage/storageAccounts/blobServices/containers/blobs/{one}" for one in called} == set(
        role["DataActions"]
    )
