"""Reading by batches: one reading for each resource, whatever happens to the others."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from trimtab_service.clouds.batches import read_in_batches, split
from trimtab_service.clouds.patience import Patience, source_failed
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Reading
from trimtab_service.rightsizing.telemetry import Telemetry


def resource(number: int) -> CloudResource:
    """An instance."""
    return CloudResource(resource_id=f"i-{number}", cloud=Cloud.GCP, region="us-central1")


def read_all(batch: Sequence[CloudResource], deadline: datetime) -> Mapping[str, Reading]:
    """A source that has no series of anything."""
    return {one.key: Reading(one, Telemetry(())) for one in batch}


def soon(seconds: float = 300.0) -> datetime:
    """A deadline by the wall clock."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_each_resource_is_read_once_even_if_it_is_given_twice() -> None:
    """Duplicates in the request are one reading."""
    resources = [resource(number % 7) for number in range(20)]
    readings = list(read_in_batches(split(resources, 3), read_all, Patience(), soon()))
    assert Counter(one.resource.resource_id for one in readings) == {f"i-{number}": 1 for number in range(7)}


def test_a_batch_that_fails_fails_alone() -> None:
    """Its resources read as failed with its words; the others have their telemetry."""

    def read(batch: Sequence[CloudResource], deadline: datetime) -> Mapping[str, Reading]:
        if resource(4) in batch:
            raise source_failed("credentials expired")
        return read_all(batch, deadline)

    readings = {
        one.resource.resource_id: one
        for one in read_in_batches(split([resource(n) for n in range(6)], 2), read, Patience(), soon())
    }
    assert {key for key, one in readings.items() if one.telemetry is None} == {"i-4", "i-5"}
    assert readings["i-4"].failure == "credentials expired"


def test_what_an_sdk_throws_is_not_shown() -> None:
    """The text of an unknown error may hold a credential: only its type is told."""

    def read(batch: Sequence[CloudResource], deadline: datetime) -> Mapping[str, Reading]:
        raise ValueError("token=abc123")

    (reading,) = read_in_batches([[resource(1)]], read, Patience(), soon())
    assert "abc123" not in reading.failure
    assert "ValueError" in reading.failure


def test_a_resource_the_batch_left_out_reads_as_failed() -> None:
    """Silence of a source is not the same as no data."""
    (reading,) = read_in_batches([[resource(1)]], lambda batch, deadline: {}, Patience(), soon())
    assert reading.telemetry is None
    assert reading.failure


def test_a_batch_that_hangs_is_given_up_at_the_deadline_and_the_others_are_read() -> None:
    """The deadline holds although the call never returns."""
    hang = threading.Event()

    def read(batch: Sequence[CloudResource], deadline: datetime) -> Mapping[str, Reading]:
        if resource(0) in batch:
            hang.wait(120)
        return read_all(batch, deadline)

    now = [datetime.now(UTC)]
    patience = Patience(clock=lambda: now[0])
    try:
        coming = read_in_batches(
            split([resource(n) for n in range(4)], 1), read, patience, now[0] + timedelta(seconds=1)
        )
        came = [next(coming) for _ in range(3)]
        now[0] += timedelta(seconds=1)
        readings = {one.resource.resource_id: one for one in (*came, *coming)}
    finally:
        hang.set()
    assert readings["i-0"].failure == "the monitoring API did not answer before the deadline"
    assert all(readings[f"i-{number}"].telemetry is not None for number in (1, 2, 3))
