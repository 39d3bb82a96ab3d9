"""Fakes, builders and fixtures that several tests use."""
