"""Tests of what others rely on: the protos, the deploy files, the generated pages."""
