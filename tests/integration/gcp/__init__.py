"""Tests of the Google Cloud adapters."""
