"""The bill that a provider would write: any portfolio over any usage, in the provider's own order, exactly."""
