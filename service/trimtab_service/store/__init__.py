"""What trimtab remembers: SQLite by default, PostgreSQL by DSN, the same tables and answers on both."""
