"""Tests in which parts die, stall or disagree."""
