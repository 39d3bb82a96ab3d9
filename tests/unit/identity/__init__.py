"""Identity without a server."""
