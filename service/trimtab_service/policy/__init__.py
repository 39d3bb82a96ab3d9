"""Policies: conditions, and the rules that hold for one request, merged from every level."""
