"""The channel: what is retried, how long calls may take, how a dead connection is noticed."""

import json
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import grpc

from trimtab.credentials import Tls, is_local

DEFAULT_TARGET: Final = "127.0.0.1:8740"
"""Where `trimtab serve` listens unless told otherwise."""

KEEPALIVE: Final = timedelta(seconds=30)
"""Silence after which the client pings. The server allows pings this often; more often would be answered by GOAWAY."""

KEEPALIVE_TIMEOUT: Final = timedelta(seconds=20)
"""How long the answer to a ping may take before the connection is given up."""

LONGEST_RECONNECT: Final = timedelta(seconds=5)
"""Between two tries to reach a replica that was gone: grpc's two minutes would outlast a rolling update."""

MAX_RECEIVE_BYTES: Final = 64 * 2**20
"""An explained batch of 256 is larger than grpc's default of 4 MiB."""

DEFAULT_TIMEOUT: Final = 10.0
"""Seconds that a call may take, retries included, where `TIMEOUTS` and the caller say nothing."""

TIMEOUTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "BatchPlace": 30.0,
        "ExplainPlacement": 30.0,
        "ImportCommitments": 30.0,
        "ListOffers": 30.0,
        "DryRunPolicy": 120.0,
        "RefreshCatalog": 120.0,
        # Clouds take minutes over a change; a source may have to be read first.
        "ApplyRecommendation": 1_200.0,
        "RollBackRecommendation": 1_200.0,
        "VerifyRecommendation": 90.0,
        "Rightsize": 30.0,
        "BatchRightsize": 120.0,
        "StreamRightsize": 120.0,
        # With `validate_only` it lists a fleet and prices the reading.
        "StartFleetAnalysis": 120.0,
        # An optimum takes as long as it takes; what is found in time is answered, with its gap.
        "OptimizePurchasePlan": 300.0,
        "StreamOptimizePurchasePlan": 300.0,
        "EvaluatePurchasePlan": 120.0,
        "StreamEvaluatePurchasePlan": 300.0,
        "BacktestPurchasePolicy": 120.0,
        "PlanLadder": 120.0,
        "GetShadowPrices": 120.0,
        "StreamGetShadowPrices": 300.0,
        "FetchProviderRecommendation": 60.0,
    }
)
"""Seconds for methods that take longer than most."""

SERVICES: Final = (
    "trimtab.v1.PlacementService",
    "trimtab.v1.CatalogService",
    "trimtab.v1.PolicyService",
    "trimtab.v1.CommitmentService",
    "trimtab.v1.RightsizingService",
    "trimtab.v1.RecommendationService",
    "trimtab.v1.PurchasingService",
    "trimtab.v1.FailoverService",
    "trimtab.v1.ReplicationService",
)
"""Services of the contract."""


def service_config() -> dict[str, Any]:
    """The gRPC service config that clients of trimtab should use, in any language (as JSON, gRFC A2 and A6).

    Only UNAVAILABLE is retried, with exponential backoff and jitter: every other failure is final or needs the caller's
    judgement. Changes are safe to retry, because each carries a `request_id`. Retries stop while most calls fail
    (throttling). Calls go round the addresses of the target, so that replicas behind one DNS name share the load. The
    client watches the health of each: one that begins to drain gets no more calls, so none is lost when it closes.
    Deadlines are not part of it: grpc would take the lesser of both, and a caller who asks for longer must get longer.
    """
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
        "methodConfig": [
            {
                "name": [{"service": service} for service in SERVICES],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }


def open_channel(target: str, tls: Tls | None) -> grpc.Channel:
    """Open a channel; nothing is sent before the first call."""
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps(service_config())),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
        ("grpc.max_send_message_length", MAX_RECEIVE_BYTES),
        ("grpc.keepalive_time_ms", int(KEEPALIVE.total_seconds() * 1000)),
        ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT.total_seconds() * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", int(LONGEST_RECONNECT.total_seconds() * 1000)),
        ("grpc.primary_user_agent", "trimtab-python"),
    ]
    if is_local(target):
        # A proxy of the environment cannot reach this machine's own loopback interface.
        options.append(("grpc.enable_http_proxy", 0))
    if tls is None:
        return grpc.insecure_channel(target, options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return grpc.secure_channel(target, tls.channel_credentials(), options)
