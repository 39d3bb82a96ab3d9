"""Many AWS accounts at once: roles and credentials, and an API that hangs, stay the trouble of one account."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.cloud_readings import listed, soon, source_of, window_of
from tests.support.http_fake import HANG, Answer, HttpFake
from tests.support.moto_fleet import FLEET, MotoFleet, moto_fleet
from tests.support.moto_server import Fault, Sent
from trimtab_service.clouds.aws.connection import connect
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.rightsizing.ports import Reading, Scope

_SECRET = "not-a-secret"
_EXTERNAL_ID = "external-4711"
_ROLE = f'role_arn = "arn:aws:iam::123456789012:role/trimtab"\nexternal_id = "{_EXTERNAL_ID}"'


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[MotoFleet]:
    """Two instances, read through a role."""
    with moto_fleet(tmp_path, FLEET[:2], extra=_ROLE) as running:
        running.server.sent.clear()
        yield running


def test_the_role_is_assumed_with_its_external_id_once(fleet: MotoFleet) -> None:
    """Everything is asked as the role; it is assumed once for all services and threads."""
    source = source_of(fleet.account)
    list(source.read(listed(source), window_of(fleet), soon()))
    assumed = [one for one in fleet.server.sent if one.operation == "AssumeRole"]
    assert [one.parameters["ExternalId"] for one in assumed] == [_EXTERNAL_ID]
    assert {one.access_key for one in assumed} == {"reader"}
    assert "reader" not in {one.access_key for one in fleet.server.sent if one.operation != "AssumeRole"}


def test_a_credential_that_expires_is_fetched_anew(fleet: MotoFleet) -> None:
    """AWS says that the token has expired: the role is assumed again and the call repeated, unseen by the caller."""
    source = source_of(fleet.account)
    resources = listed(source)
    fleet.server.faults.append(Fault("GetMetricData", "ExpiredTokenException"))
    readings = list(source.read(resources, window_of(fleet), soon()))
    assert all(not one.failure for one in readings)
    assert fleet.server.operations().count("AssumeRole") == 2


@pytest.mark.parametrize(
    ("operation", "code", "words"),
    [
        ("GetMetricData", "ExpiredTokenException", "expired"),
        ("GetMetricData", "AccessDeniedException", "may not"),
        ("GetMetricData", "UnrecognizedClientException", "not valid"),
        ("GetMetricData", "InvalidSignatureException", "not valid"),
    ],
)
def test_a_credential_that_does_not_do_is_a_failed_source(
    fleet: MotoFleet, operation: str, code: str, words: str
) -> None:
    """Every reading fails with words that say what is wrong and hold no credential; it never reads as no savings."""
    source = source_of(fleet.account)
    resources = listed(source)
    fleet.server.faults.append(Fault(operation, code, 403, times=999))
    readings = list(source.read(resources, window_of(fleet), soon()))
    assert len(readings) == len(resources)
    for one in readings:
        assert one.telemetry is None
        assert words in one.failure
        assert _SECRET not in one.failure


def test_a_role_that_may_not_be_assumed_is_a_failed_source(fleet: MotoFleet) -> None:
    """The refusal names AssumeRole; neither the external id nor a key is in it."""
    fleet.server.faults.append(Fault("AssumeRole", "AccessDenied", 403, times=99))
    with pytest.raises(UnavailableError, match="AssumeRole") as caught:
        listed(source_of(fleet.account))
    assert _EXTERNAL_ID not in str(caught.value)
    assert _SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None or _SECRET not in repr(caught.value.__cause__)


def test_no_log_holds_a_credential(fleet: MotoFleet, caplog: pytest.LogCaptureFixture) -> None:
    """Even where everything is logged, neither keys nor tokens nor the external id are."""
    with caplog.at_level(logging.DEBUG):
        source = source_of(fleet.account)
        list(source.read(listed(source), window_of(fleet), soon()))
    assumed = {one.access_key for one in fleet.server.sent}
    for word in (_SECRET, _EXTERNAL_ID, *assumed):
        assert word not in caplog.text


def test_a_clock_that_is_wrong_is_named(fleet: MotoFleet) -> None:
    """A signature refused while the answer's Date is an hour ahead is told as what it is."""
    late = Patience(clock=lambda: datetime.now(UTC) - timedelta(hours=1), sleep=lambda _: None)
    fleet.server.faults.append(Fault("DescribeInstances", "RequestExpired", 400, times=99))
    with pytest.raises(UnavailableError, match=r"clock here is 3\d\d\d s behind"):
        list(connect(fleet.account, late).source.inventory(Scope(), soon() - timedelta(hours=1)))


def test_a_clock_that_differs_is_told_with_the_data(fleet: MotoFleet) -> None:
    """Two minutes are not enough to be refused; the readings say so, and their stamps stay as AWS gave them."""
    early = Patience(clock=lambda: datetime.now(UTC) + timedelta(minutes=2), sleep=lambda _: None)
    source = connect(fleet.account, early).source
    readings = list(source.read(listed(source_of(fleet.account)), window_of(fleet), soon(400)))
    assert all(any(one.startswith("clock:") for one in reading.missing) for reading in readings)
    assert all(reading.telemetry is not None for reading in readings)


def test_no_credential_at_all_is_said_plainly(tmp_path: Path, fleet: MotoFleet) -> None:
    """A credentials file without a usable entry is a failed source, not a crash."""
    empty = tmp_path / "empty"
    empty.write_text("[other]\naws_access_key_id = a\naws_secret_access_key = b\n")
    with pytest.raises(UnavailableError, match="no AWS credential"):
        listed(source_of(replace(fleet.account, credentials_file=empty, role_arn="")))


def test_a_hanging_api_fails_at_the_deadline_and_the_rest_goes_on(fleet: MotoFleet) -> None:
    """One instance's request never comes back; the other instance is read, and both have exactly one reading."""
    account = replace(fleet.account, resolution=timedelta(minutes=5), concurrency=2)
    now = [datetime.now(UTC)]
    source = connect(account, Patience(clock=lambda: now[0])).source
    resources = listed(source)
    victim = fleet.ids["idle"]

    def of_victim(sent: Sent) -> bool:
        return victim in str(sent.parameters)

    fleet.server.faults.append(Fault("GetMetricData", hangs=True, times=99, when=of_victim))
    # Fifteen months of hours of one machine fill a page, so the two are asked apart.
    window = replace(window_of(fleet), start=fleet.now - timedelta(days=450))
    coming = source.read(resources, window, now[0] + timedelta(seconds=1))
    readings = [next(coming)]
    now[0] += timedelta(seconds=1)
    readings += coming
    assert sorted(one.resource.key for one in readings) == sorted(one.key for one in resources)
    assert {one.resource.resource_id for one in readings if one.failure} == {victim}


def test_a_hanging_listing_is_an_error_at_the_deadline(fleet: MotoFleet) -> None:
    """An inventory ends with an error, not never."""
    fleet.server.faults.append(Fault("DescribeInstances", hangs=True, times=99))
    with pytest.raises(UnavailableError):
        list(connect(fleet.account, Patience()).source.inventory(Scope(), soon(1)))


def test_accounts_do_not_wait_for_one_another(fleet: MotoFleet) -> None:
    """While one account hangs, another is read to its end."""
    with HttpFake(lambda _: Answer(status=HANG)) as dead:
        now = [datetime.now(UTC)]
        patience = Patience(clock=lambda: now[0])
        hanging = connect(replace(fleet.account, endpoint_url=dead.url, role_arn=""), patience).source
        done = threading.Event()
        failed: list[Reading] = []
        resources = listed(source_of(fleet.account))

        def read_hanging() -> None:
            failed.extend(hanging.read(resources, window_of(fleet), now[0] + timedelta(seconds=1)))
            done.set()

        thread = threading.Thread(target=read_hanging)
        thread.start()
        readings = list(source_of(fleet.account).read(resources, window_of(fleet), soon()))
        assert all(not one.failure for one in readings)
        assert not done.is_set()
        now[0] += timedelta(seconds=1)
        thread.join()
        assert len(failed) == len(resources)
        assert all(one.failure for one in failed)
