"""A cloud of clouds inside the process: a fleet to look at without an account, and one that can be changed."""
