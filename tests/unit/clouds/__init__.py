"""Tests of the cloud adapters and of what they share."""
