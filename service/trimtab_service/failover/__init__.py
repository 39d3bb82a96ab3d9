"""What happens when a cloud or region fails: plans, runs, detection, evidence."""
