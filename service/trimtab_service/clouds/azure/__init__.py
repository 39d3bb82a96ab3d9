"""Azure: telemetry from Azure Monitor, inventory and changes through the Compute resource provider."""
