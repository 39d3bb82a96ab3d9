"""Connecting to a cluster: its Prometheus to read, its API server to change."""

import ssl
from functools import lru_cache

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.kubernetes import KubernetesActuator
from trimtab_service.clouds.kubernetes_calls import KUBERNETES, api_client
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.prometheus.client import EXTRA, PrometheusClient
from trimtab_service.clouds.prometheus.inventory import Inventory
from trimtab_service.clouds.prometheus.telemetry import Prometheus


def connect(account: CloudAccount, patience: Patience) -> Connection:
    """The connection of an account of kind `prometheus`.

    `credentials_file` holds a bearer token for Prometheus, whose certificate the system's authorities (or
    SSL_CERT_FILE) vouch for. Changes go to the API server at `endpoints.kubernetes` (a
    `kubectl proxy` on loopback needs no credential), or with the pod's own service account where none is named; the
    extra `kubernetes` is needed only then.
    """
    patience = patience.with_calls_of(account.call_timeout)
    meter = Meter()
    http = sdk("httpx", EXTRA).Client(verify=ssl.create_default_context(), follow_redirects=False, trust_env=False)
    client = PrometheusClient(http, account.endpoint_url, account.credentials_file, patience, meter)
    source = Prometheus(account, client, Inventory(client, account), patience, meter)
    if not account.changes:
        return Connection(source)
    endpoint = dict(account.endpoints).get(KUBERNETES, "")
    client_once = lru_cache(maxsize=1)(lambda: api_client(endpoint))
    return Connection(source, KubernetesActuator(client_once, account.account, patience))
