"""Failover without service, store or cloud."""
