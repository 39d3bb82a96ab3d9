"""Alembic scripts; they ship in the wheel and run from there (`store.schema`)."""
