"""Names that traffic follows, switched under a fence that the name's own provider compares."""
