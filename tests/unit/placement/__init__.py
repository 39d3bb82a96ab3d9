"""Tests of the placement engine and of what it learns."""
