"""Gauges of replications: the age of each copy beside its target, and nothing of those that are not active any more."""

from datetime import timedelta

from prometheus_client import CollectorRegistry

from trimtab_service.observability.replication_metrics import ReplicationMetrics, ReplicationSample


def test_gauges_tell_the_age_and_its_target_of_what_is_active() -> None:
    """No canary yet is an age without end, so an alert that compares it with its target fires."""
    registry = CollectorRegistry()
    samples = [ReplicationSample("models", None, timedelta(minutes=5), 2)]
    metrics = ReplicationMetrics(registry, lambda: samples)
    metrics.close()

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"trimtab_replication_{name}", {"replication": "models"})

    metrics.sample()
    assert (value("age_seconds"), value("target_seconds"), value("failed_objects")) == (float("inf"), 300.0, 2.0)
    samples[0] = ReplicationSample("models", timedelta(seconds=90), None, 0)
    metrics.sample()
    assert (value("age_seconds"), value("target_seconds"), value("failed_objects")) == (90.0, float("inf"), 0.0)
    samples.clear()
    metrics.sample()
    assert value("age_seconds") is None
