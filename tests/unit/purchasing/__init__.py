"""The purchasing engine, without service, store or cloud."""
