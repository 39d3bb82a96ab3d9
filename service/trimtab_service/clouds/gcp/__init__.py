"""Google Cloud: telemetry from Cloud Monitoring, inventory and changes through Compute Engine."""
