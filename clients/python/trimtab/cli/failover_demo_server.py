"""The server that `trimtab failover demo` shows, in a process of its own that can be killed and started again."""

import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import typer

from trimtab.client import Client

_MODULE: Final = "trimtab_service.rehearsal"
_START_S: Final = 30.0
_STOP_S: Final = 10.0


class DemoServer:
    """A rehearsal (`trimtab_service.rehearsal`): started on entry, ended on exit. Its world outlives it."""

    def __init__(self, data_dir: Path) -> None:
        """Raises typer.BadParameter where the extra `service` is not installed."""
        if find_spec("trimtab_service") is None:
            raise typer.BadParameter("needs the extra `service`: pip install 'trimtab[service]'")
        self._data_dir = data_dir
        self._port = _free_port()
        self._process: subprocess.Popen[str] | None = None
        self.client = Client(f"127.0.0.1:{self._port}", project="demo", timeout=_START_S, wait_for_ready=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        if self._process is not None and self._process.stdin is not None:
            # The end of its input ends it.
            self._process.stdin.close()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def start(self) -> None:
        """Start it, or start it again."""
        listen = f"127.0.0.1:{self._port}"
        # The interpreter that runs this, a module of this distribution, and a path that the user gave.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", _MODULE, "--data-dir", str(self._data_dir), "--listen", listen],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: nothing of it is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def say(self, command: str) -> None:
        """Tell the world something, as `fail aws`."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the server was never started")
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def ask(self, command: str) -> str:
        """The same, for a command that answers with a line."""
        self.say(command)
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the server was never started")
        return self._process.stdout.readline().strip()


def _free_port() -> int:
    """A port that was free a moment ago: the same one serves again after a crash."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
