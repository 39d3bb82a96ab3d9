"""Tests of the lifecycle of recommendations."""
