"""Properties of the catalogue."""
