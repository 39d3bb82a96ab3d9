"""What is advised for TPU VMs and for models deployed on Vertex AI."""

from dataclasses import replace

from tests.support.sizing import NOW, advice, case, flat, peaks
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.dimensions import Metric, Unit
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.resources import CloudResource, OwnOffer, ResourceKind
from trimtab_service.domain.rightsizing import Action, Finding
from trimtab_service.rightsizing.advisor import advise

MODEL = CloudResource(
    "900/12", Cloud.GCP, "us-central1", ResourceKind.ENDPOINT, instance_type="vertex.n2-standard-4", count=8
)
PRICES = (OwnOffer("vertex.n2-standard-4", 223_000_000), OwnOffer("vertex.n2-standard-8", 446_000_000))
IDLE_REPLICAS = [
    flat(Metric.CPU, 4.0, Unit.VCPUS),
    flat(Metric.MEMORY, 12.8, Unit.GIB),
    flat(Metric.INSTANCES, 8, Unit.COUNT),
]
"""Of eight replicas of 4 vCPUs and 16 GiB, an eighth."""


def test_a_deployed_model_gets_another_number_of_replicas(starter: CatalogSnapshot) -> None:
    """By the caller's prices of Vertex AI's types, with the size of the machines beneath."""
    found = advise(replace(case(MODEL, IDLE_REPLICAS, peaks()), own_offers=PRICES), starter, (), NOW)
    assert found.finding is Finding.OVER_PROVISIONED
    assert found.current is not None
    assert found.current.monthly_cost_micros == 8 * 730 * 223_000
    assert {one.instance_type for one in found.options} <= {one.instance_type for one in PRICES}
    assert all(AdviceReason.SIZE_OF_MACHINE_BENEATH in one.reasons for one in found.options)
    fewer = next(one for one in found.options if one.action is Action.SCALE_IN)
    assert (fewer.instance_type, fewer.count) == ("vertex.n2-standard-4", 2)


def test_without_vertex_ais_prices_nothing_is_concluded(starter: CatalogSnapshot) -> None:
    """Compute Engine's prices are not taken for them; what is missing is said."""
    found = advice(starter, MODEL, IDLE_REPLICAS, peaks())
    assert found.finding is Finding.UNSUPPORTED
    assert found.options == ()
    assert any("price_per_hour of vertex.n2-standard-4" in words for words in found.missing)


def test_a_tpu_vm_and_a_model_without_machines_are_unsupported_and_say_why(starter: CatalogSnapshot) -> None:
    """The catalogue holds no size of them, which is another answer than that nothing can be saved."""
    tpu = CloudResource("us-central1-a/train", Cloud.GCP, "us-central1", instance_type="v5litepod-16")
    for resource in (tpu, replace(MODEL, instance_type="")):
        found = advice(starter, resource, [flat(Metric.CPU, 1.0)], peaks())
        assert found.finding is Finding.UNSUPPORTED
        assert any(words.startswith("capacity of") for words in found.missing)
