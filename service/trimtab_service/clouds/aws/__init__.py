"""AWS: inventory from EC2, Auto Scaling and SageMaker, telemetry from CloudWatch, and changes through the same APIs."""
