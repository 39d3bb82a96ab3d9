"""Where the catalogue that ships in the package lies."""

from pathlib import Path

STARTER_DIRECTORY = Path(__file__).parent / "starter"
"""A source directory like any other; its SOURCES.md says where each fact comes from."""
