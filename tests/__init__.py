"""Tests of trimtab, sorted by what they touch."""
