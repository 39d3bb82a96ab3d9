"""Tests over real connections: databases, servers, processes."""
