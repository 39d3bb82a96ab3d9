"""Where: feasibility, cost terms, rank, explanation; and what outcomes teach about offers."""
