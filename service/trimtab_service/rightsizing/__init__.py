"""How big a resource should be."""
