"""Bought how: demand and offers in, the cheapest portfolio of commitments with its proof out."""
