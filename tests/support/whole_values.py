"""Values that whole requests of several services have in common."""

UUID = "0d9f1c9e-2f0b-4b7e-9a55-6f4f0d1a2b3c"
ANYWHERE = {"cloud": "CLOUD_AWS", "region": "us-east-1"}
IRELAND = {"cloud": "CLOUD_AWS", "region": "eu-west-1"}
USD = {"currencyCode": "USD", "units": 1, "nanos": 500_000_000}
