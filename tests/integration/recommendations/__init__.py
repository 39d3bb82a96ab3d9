"""The lifecycle of recommendations through a real server."""
