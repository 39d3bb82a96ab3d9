"""The clouds: SDKs live here and nowhere else. Adapters implement the ports of the engines."""
