"""CRC-32C, as fast as the processor counts it, where its library is installed."""

from importlib.util import find_spec
from typing import cast

from trimtab_service.clouds.extras import sdk
from trimtab_service.replication.checksums import Crc32c


def castagnoli() -> Crc32c | None:
    """The function; None without the extra `gcp`: copies are then proved by their other checksums."""
    if find_spec("google_crc32c") is None:
        return None
    return cast("Crc32c", sdk("google_crc32c", "gcp").extend)
