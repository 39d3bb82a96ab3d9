"""The thin client and the CLI, against a canned server on a real port."""
