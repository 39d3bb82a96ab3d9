"""One module a step, numbered; the number is the revision."""
