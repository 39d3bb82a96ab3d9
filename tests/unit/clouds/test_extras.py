"""SDKs that are not installed."""

import subprocess
import sys

import pytest

from trimtab_service.clouds.extras import sdk
from trimtab_service.domain.errors import UnsupportedError
from trimtab_service.domain.reasons import ErrorReason


def test_a_missing_sdk_names_the_extra_that_brings_it() -> None:
    """Unsupported, with the command to install it."""
    with pytest.raises(UnsupportedError, match=r"pip install 'trimtab\[service,gcp\]'") as caught:
        sdk("google.cloud.no_such_module", "gcp")
    assert caught.value.reason is ErrorReason.UNSUPPORTED
    assert caught.value.metadata["extra"] == "gcp"


@pytest.mark.parametrize("cloud", ["gcp", "azure", "prometheus", "simulated"])
def test_an_adapter_is_imported_without_its_sdk(cloud: str) -> None:
    """Only connecting imports an SDK: listing sources must work where one is missing."""
    program = (
        f"import sys, trimtab_service.clouds.{cloud}.connection\n"
        "sdks = ('google.cloud', 'google.auth', 'azure', 'httpx', 'kubernetes', 'boto3')\n"
        "found = [name for name in sys.modules if name.startswith(sdks)]\n"
        "sys.exit(f'imported: {found[:5]}' if found else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
