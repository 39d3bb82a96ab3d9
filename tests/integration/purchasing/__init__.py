"""The purchasing service through a real server."""
