"""Tests of rules and functions alone."""
