"""Tests of replication on buckets in memory."""
