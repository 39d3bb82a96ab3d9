"""Replication on the clouds' own clients against servers of object stores."""
