"""Copies of buckets in other clouds: what is copied, how it is proved to be whole, and how old the copy is."""
