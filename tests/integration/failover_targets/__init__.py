"""Targets of failover against real servers and strict fakes."""
