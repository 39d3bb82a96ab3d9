"""Buckets of every kind, each on a real port, as the adapters of the service see them, and as an application does."""

import atexit
import logging
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
import google.auth.credentials
import google_crc32c
from azure.storage.blob import ContainerClient
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from tests.support.blob_storage import BlobStorage
from tests.support.strict_gcs import StrictGcs
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.bucket import S3Bucket
from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.session import AwsSession, OnCall
from trimtab_service.clouds.azure.bucket import BlobContainer, options
from trimtab_service.clouds.gcp.bucket import GcsBucket, pooled
from trimtab_service.clouds.gcp.rest import authorized
from trimtab_service.clouds.patience import Patience
from trimtab_service.replication.checksums import NO_CHECKSUMS, Crc32c, Tally
from trimtab_service.replication.ports import Attributes, Content, ObjectStore
from trimtab_service.rightsizing.ports import SourceKind

REGION: Final = "us-east-1"
PART: Final = 5 << 20
"""The smallest part that S3 takes."""
CRC32C: Final[Crc32c] = google_crc32c.extend
AZURITE_ACCOUNT: Final = "devstoreaccount1"
AZURITE_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which its documentation publishes."""
_AZURITE: Final = Path(__file__).parents[2] / ".venv" / "azurite" / "node_modules" / ".bin" / "azurite-blob"


def content(data: bytes, attributes: Attributes | None = None) -> Content:
    """What is written, with its checksums."""
    tally = Tally(CRC32C, NO_CHECKSUMS)
    tally.add(data)
    return Content(data, tally.checksums(), attributes or Attributes("application/octet-stream"))


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of an empty S3 (moto)."""
    moto_api_backend.reset()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def s3_client(url: str) -> Any:  # noqa: ANN401 - clients are made from data at run time
    """An application's client."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}  # moto takes any
    make: Any = boto3.client  # its types know every service of AWS, and nothing of keys that are data
    return make("s3", region_name=REGION, endpoint_url=url, **keys)


def s3_bucket(url: str, name: str, patience: Patience | None = None, on_call: OnCall = lambda *_: None) -> S3Bucket:
    """As the service sees it."""
    account = CloudAccount(
        name="aws",
        kind=SourceKind.CLOUDWATCH,
        account="123456789012",
        projects=frozenset({"*"}),
        regions=(REGION,),
        endpoint_url=url,
        credentials_file=_credentials(),
        concurrency=16,
    )
    return S3Bucket(name, REGION, AwsCalls(account, AwsSession(account, on_call), patience or Patience()))


@cache
def _credentials() -> Path:
    """Keys that moto takes, in a file of this process."""
    directory = Path(tempfile.mkdtemp(prefix="trimtab-keys-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = directory / "credentials"
    path.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
    return path


def gcs_bucket(url: str, name: str, patience: Patience | None = None) -> GcsBucket:
    """As the service sees it."""
    anonymous: Any = google.auth.credentials.AnonymousCredentials
    session = pooled(authorized(anonymous()), 16)
    return GcsBucket(name, session, url, patience or Patience())


@contextmanager
def blob_server(*, real: bool = True) -> Iterator[str]:
    """The endpoint of an empty Blob Storage: Azurite where `make azurite` has installed it, else a strict fake."""
    program = _AZURITE if _AZURITE.exists() else shutil.which("azurite-blob")
    if program is None or not real:
        with BlobStorage(AZURITE_ACCOUNT) as storage:
            yield storage.url
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asked = [str(program), "--blobPort", str(port), "--silent", "--skipApiVersionCheck", "--inMemoryPersistence"]
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port)
        yield f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
    finally:
        process.terminate()
        process.wait()


def blob_container(url: str, name: str, part_size: int = PART, patience: Patience | None = None) -> BlobContainer:
    """As the service sees it."""
    chosen: dict[str, Any] = options(part_size)
    client = ContainerClient(url, name, credential=AZURITE_KEY, **chosen)
    return BlobContainer(AZURITE_ACCOUNT, name, client, patience or Patience())


@dataclass(frozen=True, slots=True)
class Kind:
    """How empty buckets of one kind are made while a server of it runs."""

    make: Callable[[str], ObjectStore]


@contextmanager
def running(kind: str) -> Iterator[Kind]:
    """A server of a kind: `s3`, `gcs`, `blob` (Azurite where it is), `blob-fake`."""
    with ExitStack() as stack:
        if kind == "s3":
            url = stack.enter_context(s3_server())

            def make(name: str) -> ObjectStore:
                s3_client(url).create_bucket(Bucket=name)
                return s3_bucket(url, name)
        elif kind == "gcs":
            server = stack.enter_context(StrictGcs())

            def make(name: str) -> ObjectStore:
                server.create_bucket(name)
                return gcs_bucket(server.url, name)
        else:
            blobs = stack.enter_context(blob_server(real=kind == "blob"))

            def make(name: str) -> ObjectStore:
                container = blob_container(blobs, name)
                container.client.create_container()
                return container

        yield Kind(make)


def fresh_name() -> str:
    """Of a bucket."""
    return f"bucket-{uuid.uuid4().hex[:12]}"


def _await(port: int) -> None:
    give_up = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return
