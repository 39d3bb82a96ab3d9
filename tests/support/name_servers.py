"""Real name servers of Debian, as processes of the test's own on loopback: BIND (`bind9`), PowerDNS (`pdns-server`)."""

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest

ZONE: Final = "example.test"
_SECRET: Final = "c2l4dGVlbiBieXRlcyBvZiBhIGtleSBmb3IgdGVzdHM="
_KEY_NAME: Final = "trimtab"
_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
_PROGRAMS: Final = {"bind": ("named", "bind9"), "powerdns": ("pdns_server", "pdns-server pdns-backend-sqlite3")}

_PDNS_SCHEMA: Final = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")


@dataclass(slots=True)
class RunningNameServer:
    """It serves ZONE at `host` and `port`, and takes updates that are signed with the key of `key_file`."""

    host: str
    port: int
    key_file: Path
    directory: Path
    process: "subprocess.Popen[bytes] | None" = None

    def stop(self) -> None:
        """As an outage: it is killed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def put(self, name: str, kind: str, ttl: int, *values: str) -> None:
        """Set a record, as the owner of the zone would."""
        owned = dns.update.UpdateMessage(
            ZONE, keyring=dns.tsigkeyring.from_text({_KEY_NAME: _SECRET}), keyalgorithm=dns.tsig.HMAC_SHA256
        )
        owned.replace(f"{name}.", ttl, kind, *values)
        answer = dns.query.tcp(owned, self.host, timeout=60, port=self.port).rcode()
        assert answer == dns.rcode.NOERROR, answer

    def texts(self, name: str, kind: str) -> list[str]:
        """Values of a record as the server answers them now."""
        reply = dns.query.tcp(dns.message.make_query(f"{name}.", kind), self.host, timeout=60, port=self.port)
        return sorted(record.to_text() for found in reply.answer for record in found)


@contextmanager
def name_server(kind: str) -> Iterator[RunningNameServer]:
    """`bind` or `powerdns` with an empty zone; skips the test where its Debian package is not installed."""
    program, packages = _PROGRAMS[kind]
    found = shutil.which(program, path=_PATH)
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {packages} (`make system-deps`)")
    directory = Path(tempfile.mkdtemp(prefix="trimtab-dns-"))
    directory.chmod(0o755)
    key_file = directory / "key.conf"
    key_file.write_text(f'key "{_KEY_NAME}" {{\n  algorithm hmac-sha256;\n  secret "{_SECRET}";\n}};\n')
    server = RunningNameServer("127.0.0.1", _free_port(), key_file, directory)
    command = _bind(found, server) if kind == "bind" else _powerdns(found, server)
    with (directory / "log").open("wb") as log:
        server.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        _await_ready(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _bind(program: str, server: RunningNameServer) -> list[str]:
    directory = server.directory
    (directory / "zone.db").write_text(
        f"$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n"
    )
    (directory / "named.conf").write_text(
        f"""options {{
  directory "{directory}"; pid-file "{directory}/named.pid"; session-keyfile "{directory}/session.key";
  listen-on port {server.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; allow-transfer {{ none; }}; notify no; dnssec-validation no;
}};
controls {{ }};
include "{server.key_file}";
zone "{ZONE}" {{ type primary; file "{directory}/zone.db"; update-policy {{ grant {_KEY_NAME} zonesub ANY; }}; }};
"""
    )
    return [program, "-g", "-n", "1", "-c", str(directory / "named.conf")]


def _powerdns(program: str, server: RunningNameServer) -> list[str]:
    database = server.directory / "pdns.sqlite"
    connection = sqlite3.connect(database)
    connection.executescript(_PDNS_SCHEMA.read_text(encoding="utf-8"))
    connection.execute("INSERT INTO domains (id, name, type) VALUES (1, ?, 'NATIVE')", (ZONE,))
    rows = [
        (ZONE, "SOA", f"ns.{ZONE} hostmaster.{ZONE} 1 3600 600 86400 1"),
        (ZONE, "NS", f"ns.{ZONE}"),
        (f"ns.{ZONE}", "A", "127.0.0.1"),
    ]
    connection.executemany("INSERT INTO records (domain_id, name, type, content, ttl) VALUES (1, ?, ?, ?, 60)", rows)
    connection.execute(
        "INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, 'hmac-sha256', ?)", (_KEY_NAME, _SECRET)
    )
    connection.execute(
        "INSERT INTO domainmetadata (domain_id, kind, content) VALUES (1, 'TSIG-ALLOW-DNSUPDATE', ?)", (_KEY_NAME,)
    )
    connection.commit()
    connection.close()
    settings = {
        "config-dir": server.directory,
        "socket-dir": server.directory,
        "daemon": "no",
        "guardian": "no",
        "local-address": server.host,
        "local-port": server.port,
        "launch": "gsqlite3",
        "gsqlite3-database": database,
        "dnsupdate": "yes",
        "allow-dnsupdate-from": "127.0.0.0/8",
        "cache-ttl": 0,
        "query-cache-ttl": 0,
        "negquery-cache-ttl": 0,
        "zone-cache-refresh-interval": 0,
        "consistent-backends": "no",
    }
    return [program, *(f"--{key}={value}" for key, value in settings.items())]


def _free_port() -> int:
    """Free for TCP and UDP alike at this moment."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port = int(tcp.getsockname()[1])
        udp.bind(("127.0.0.1", port))
        return port


def _await_ready(server: RunningNameServer) -> None:
    for _ in range(400):
        assert server.process is not None
        if server.process.poll() is not None:
            break
        try:
            asked = dns.message.make_query(f"{ZONE}.", "SOA")
            if dns.query.tcp(asked, server.host, timeout=1, port=server.port).rcode() == dns.rcode.NOERROR:
                return
        except (OSError, EOFError, dns.exception.DNSException):
            pass
        time.sleep(0.05)
    raise RuntimeError((server.directory / "log").read_text(errors="replace"))
