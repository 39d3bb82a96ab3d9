"""Tests of policies alone."""
