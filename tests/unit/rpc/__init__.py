"""The RPC surface without a server."""
