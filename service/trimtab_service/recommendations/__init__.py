"""One lifecycle for what every engine advises."""
