"""Instance types, prices, regions and egress: files in, one immutable indexed snapshot out."""
