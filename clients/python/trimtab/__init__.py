"""trimtab's contract and thin client: how big, how bought, where, and what if it fails."""
