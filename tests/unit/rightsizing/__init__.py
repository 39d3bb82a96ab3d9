"""Tests of sizing, by module."""
