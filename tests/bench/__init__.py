"""Benchmarks: programs, each with --quick; the last line they print is one JSON object."""
