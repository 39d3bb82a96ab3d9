"""The rightsizing service through a real server."""
