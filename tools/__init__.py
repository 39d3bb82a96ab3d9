"""Small programs for those who work on trimtab; the Makefile runs them."""
