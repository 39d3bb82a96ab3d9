"""Plain types and rules: the standard library only, importable from everywhere."""
