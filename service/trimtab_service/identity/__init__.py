"""Authenticators: how a call's credentials become a `domain.identity.Principal`."""
