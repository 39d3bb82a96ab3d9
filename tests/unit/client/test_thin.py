"""The client stays thin, and says what is missing."""

import subprocess
import sys

_IMPORTS = "import sys, trimtab; print(*sorted(name for name in sys.modules if '.' not in name))"
_WITHOUT_EXTRA = (
    "import sys; sys.modules['typer'] = None; from trimtab.cli.main import main; sys.exit(main(['--help']))"
)


def test_the_client_imports_its_own_dependencies_only() -> None:
    """`import trimtab` in a scheduler brings grpc and protobuf, and nothing of the CLI or the service."""
    ran = subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=True)
    imported = set(ran.stdout.split())
    assert {"grpc", "google", "grpc_status", "trimtab"} <= imported
    assert not imported & {"typer", "rich", "yaml", "numpy", "sqlalchemy", "trimtab_service"}


def test_the_command_without_its_extra_says_which() -> None:
    """A sentence with the way out, and no traceback."""
    ran = subprocess.run([sys.executable, "-c", _WITHOUT_EXTRA], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'trimtab[cli]'" in ran.stderr
    assert "Traceback" not in ran.stderr
