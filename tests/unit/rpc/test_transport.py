"""What client and server agree on below the calls."""

from trimtab import channel
from trimtab_service.config import Settings
from trimtab_service.rpc import transport


def test_server_permits_the_pings_that_the_client_sends() -> None:
    """A client that pings more often than the server permits loses its connection while it is idle."""
    options = dict(transport.channel_options(Settings(), share_port=False))
    client_ms = channel.KEEPALIVE.total_seconds() * 1000
    assert client_ms == transport.CLIENT_KEEPALIVE_S * 1000
    assert client_ms >= 2 * options["grpc.http2.min_ping_interval_without_data_ms"]
    assert options["grpc.keepalive_permit_without_calls"] == 1


def test_a_port_is_shared_only_by_workers() -> None:
    """With sharing on by default a second server would take half of the connections in silence."""
    assert dict(transport.channel_options(Settings(), share_port=False))["grpc.so_reuseport"] == 0
    assert dict(transport.channel_options(Settings(), share_port=True))["grpc.so_reuseport"] == 1
