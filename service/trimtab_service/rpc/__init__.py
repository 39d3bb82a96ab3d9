"""The gRPC surface: messages in, domain calls, messages out. No rule of its own lives here."""
