"""trimtab's contract and thin client: how big, how bought, where, and what if it fails."""

from trimtab.channel import service_config
from trimtab.client import Client
from trimtab.credentials import Tls, TokenFile, TokenSource
from trimtab.errors import CallError, TrimtabError
from trimtab.telemetry import resource, series
from trimtab.workloads import data_set, workload

__all__ = [
    "CallError",
    "Client",
    "Tls",
    "TokenFile",
    "TokenSource",
    "TrimtabError",
    "data_set",
    "resource",
    "series",
    "service_config",
    "workload",
]
