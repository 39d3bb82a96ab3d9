"""`trimtab` at a terminal: tables for people, `--json` for programs. Needs the extra `cli`."""
