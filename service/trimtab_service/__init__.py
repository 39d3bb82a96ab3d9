"""The trimtab service: how big, bought how, where, and what if it fails."""
