"""The decision log: complete, listed in pages, filtered alike on both engines, pruned in batches."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.support.databases import PostgresServer
from trimtab_service import compiled
from trimtab_service.domain.errors import InvalidArgumentError, NotFoundError, UnavailableError
from trimtab_service.domain.filters import Filter, matches, parse_filter
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store import decisions
from trimtab_service.store.decisions import DECISION_SINK, FIELDS, DecisionLog, DecisionRecord
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.filters import compile_filter, kinds
from trimtab_service.store.pages import Cursor, ListRequest, decode_token, encode_token
from trimtab_service.store.schema import migrate
from trimtab_service.store.tables import DECISIONS
from trimtab_service.store.writer import GroupCommitWriter

NOW = datetime(2026, 3, 4, 5, 6, 7, 123457, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def decision(number: int = 0, **changes: object) -> DecisionRecord:
    """A decision whose place in the list `number` decides."""
    plain = DecisionRecord(
        project="p",
        decision_id=f"01j{number:05}",
        create_time=NOW + number // 3 * SECOND,  # three at each instant: the id decides
        workload_id=f"w{number % 4}",
        verdict="placed",
        request=b"\x00\xff",
        response=b"\x01",
        catalog_version="abc",
        state_revision=2**40,
        policy_revision=2**41,
        learned_revision=2**42,
        commitment_revision=2**43,
        expected_cost_micros=2**50,
    )
    return plain._replace(**changes)  # type: ignore[arg-type]  # the tests name real fields


@pytest.fixture
def writer(database: Database) -> Iterator[GroupCommitWriter]:
    """A writer on the database."""
    made = GroupCommitWriter(database)
    yield made
    made.close()


@pytest.fixture
def log(database: Database, writer: GroupCommitWriter) -> DecisionLog:
    """The log."""
    return DecisionLog(database, writer)


def fill(database: Database, *records: DecisionRecord) -> None:
    """Write at once."""
    with database.write() as conn:
        DECISION_SINK.write(conn, records)


def walk(log: DecisionLog, request: ListRequest) -> list[list[str]]:
    """The ids of all pages."""
    pages = []
    while True:
        page = log.list("p", request)
        pages.append([item.decision_id for item in page.items])
        if not page.next_page_token:
            return pages
        request = replace(request, page_token=page.next_page_token)


def test_a_decision_can_be_read_as_soon_as_it_was_logged(log: DecisionLog) -> None:
    """Appending does not wait, and yet the same process never misses its own record."""
    full = decision(
        cloud="aws",
        region="eu-west-1",
        instance_type="p3.2xlarge",
        purchase_option="spot",
        valid_until=NOW + SECOND,
        reserved=True,
        release_time=NOW,
        outcome="ran",
    )
    assert log.append(full)
    assert log.get("p", full.decision_id) == full
    bare = decision(1, expected_cost_micros=None)
    log.append(bare)
    assert log.get("p", bare.decision_id) == bare


def test_another_project_does_not_find_it(log: DecisionLog, database: Database) -> None:
    """A decision is its project's."""
    fill(database, decision())
    with pytest.raises(NotFoundError):
        log.get("q", decision().decision_id)
    assert log.list("q", ListRequest("m", "projects/q")).items == ()


def test_a_record_written_again_stays_as_it_is(log: DecisionLog, database: Database) -> None:
    """After a lost connection a group may come twice; marks made meanwhile survive."""
    fill(database, decision())
    with database.change() as conn:
        assert decisions.mark_outcome(conn, "p", decision().decision_id, "ran")
        assert decisions.mark_released(conn, "p", decision().decision_id, NOW)
        assert not decisions.mark_released(conn, "p", decision().decision_id, NOW + SECOND)
        assert not decisions.mark_outcome(conn, "q", decision().decision_id, "ran")
    fill(database, decision())
    assert log.get("p", decision().decision_id) == decision(outcome="ran", release_time=NOW)


def test_pages_hold_everything_once_newest_first(log: DecisionLog, database: Database) -> None:
    """Whatever the page size, and with several decisions in one instant."""
    records = [decision(number) for number in range(20)]
    fill(database, *records)
    ids = [record.decision_id for record in reversed(records)]
    for size in (1, 3, 7, 19, 20, 21, 5_000):
        pages = walk(log, ListRequest("ListDecisions", "projects/p", page_size=size))
        assert [found for page in pages for found in page] == ids
        assert all(len(page) == size for page in pages[:-1])
        assert pages[-1]


def test_rows_that_come_and_go_do_not_shift_pages(log: DecisionLog, database: Database) -> None:
    """Neither repeats nor holes: a page begins after a row, not after a number of rows."""
    records = [decision(number) for number in range(9)]
    fill(database, *records)
    request = ListRequest("ListDecisions", "projects/p", page_size=3)
    first = log.list("p", request)
    fill(database, decision(50))
    with database.write() as conn:
        decisions.prune(conn, NOW + SECOND, 2)
    rest = walk(log, replace(request, page_token=first.next_page_token))
    assert [found for page in rest for found in page] == [f"01j{number:05}" for number in (5, 4, 3, 2)]


def test_a_token_belongs_to_its_list(log: DecisionLog, database: Database) -> None:
    """With another method, parent or filter, or changed in any place, it is refused; the size may change."""
    fill(database, *(decision(number) for number in range(5)))
    request = ListRequest("ListDecisions", "projects/p", "workload_id != w9", page_size=2)
    token = log.list("p", request).next_page_token
    assert log.list("p", replace(request, page_token=token, page_size=4)).items
    foreign = [
        replace(request, page_token=token, method="ListPolicies"),
        replace(request, page_token=token, parent="projects/q"),
        replace(request, page_token=token, filter=""),
        *(replace(request, page_token=bad) for bad in ("x", "AAAA", "é", "=", token[:-4], token + "AAAA", "A" * 10**6)),
        *(
            replace(request, page_token=token[:at] + ("B" if token[at] != "B" else "C") + token[at + 1 :])
            for at in range(len(token) - 1)
        ),
    ]
    for wrong in foreign:
        with pytest.raises(InvalidArgumentError) as refused:
            log.list("p", wrong)
        assert refused.value.reason is ErrorReason.PAGE_TOKEN_INVALID


@given(st.datetimes(timezones=st.just(UTC)), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_token_leads_back_to_its_row(at: datetime, row_id: str) -> None:
    """Exactly, to the microsecond."""
    request = ListRequest("m", "p")
    cursor = Cursor(at, row_id)
    assert decode_token(replace(request, page_token=encode_token(cursor, request))) == cursor


@pytest.mark.parametrize(("field", "value"), [("page_size", -1), ("filter", "nope = 1")])
def test_a_bad_list_request_is_refused(log: DecisionLog, field: str, value: object) -> None:
    """Negative sizes and unknown fields name the field at fault."""
    with pytest.raises(InvalidArgumentError) as refused:
        log.list("p", replace(ListRequest("m", "p"), **{field: value}))  # type: ignore[arg-type]  # either field
    assert [violation.field for violation in refused.value.violations] == [field]


WORDS = st.sampled_from(["a", "A", "ab", "b%", "_", "é", "a'b", ""])
INSTANTS = st.sampled_from([NOW, NOW + SECOND, NOW + timedelta(microseconds=1)])
RECORDS = st.builds(
    decision,
    number=st.integers(0, 10**5),
    workload_id=WORDS,
    expected_cost_micros=st.none() | st.integers(-3, 3) | st.just(2**62),
    valid_until=st.none() | INSTANTS,
    create_time=INSTANTS,
    reserved=st.booleans(),
    outcome=st.none() | WORDS,
)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


ORDERED = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
COMPARISONS = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["workload_id", "outcome"]), ORDERED, WORDS.map(_quoted)),
    st.builds("{}:{}".format, st.sampled_from(["workload_id", "outcome"]), WORDS.filter(bool).map(_quoted)),
    st.builds("{}:*".format, st.sampled_from(["outcome", "valid_until", "expected_cost_micros"])),
    st.builds("expected_cost_micros {} {}".format, ORDERED, st.integers(-3, 3) | st.just(2**62)),
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["create_time", "valid_until"]),
        ORDERED,
        INSTANTS.map(datetime.isoformat),
    ),
    st.sampled_from(["reserved = true", "reserved != true", "reserved = false"]),
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds("NOT ({})".format, inner),
        st.builds("({}) AND ({})".format, inner, inner),
        st.builds("({}) OR ({})".format, inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(RECORDS, min_size=1, max_size=8, unique_by=lambda record: record.decision_id), FILTERS)
def test_a_filter_means_the_same_in_memory_and_in_the_database(
    database: Database, records: list[DecisionRecord], text: str
) -> None:
    """Nulls, case, quotes, per cent signs and 64-bit numbers included, on both engines."""
    tree: Filter | None = parse_filter(text, kinds(FIELDS))
    with database.write() as conn:
        conn.execute(DECISIONS.delete())
        DECISION_SINK.write(conn, records)
        found = set(conn.execute(DECISIONS.select().where(compile_filter(tree, FIELDS))).scalars(1))
    expected = {r.decision_id for r in records if matches(tree, lambda name, r=r: getattr(r, name))}  # type: ignore[misc]
    assert found == expected


def test_pruning_takes_the_oldest_of_every_project_in_batches(log: DecisionLog, database: Database) -> None:
    """A batch is bounded, and what is younger stays."""
    fill(database, *(decision(number, project=project) for project in ("p", "q", "r") for number in range(9)))
    counts: list[int] = []
    while not counts or counts[-1]:
        with database.write() as conn:
            counts.append(decisions.prune(conn, NOW + 2 * SECOND, 4))
    assert counts == [4, 4, 4, 4, 2, 0]
    for project in ("p", "q", "r"):
        left = log.list(project, ListRequest("m", project)).items
        assert [item.decision_id for item in left] == ["01j00008", "01j00007", "01j00006"]


def test_a_record_has_the_order_of_the_table() -> None:
    """Rows go to the driver as they are, so a record must list its values as the table lists its columns."""
    assert DecisionRecord._fields == tuple(DECISIONS.columns.keys())


def test_the_compiled_form_hands_the_driver_the_same_values() -> None:
    """Of both widths, with instants of any zone, with and without what may be empty; a naive instant is refused."""
    wire = compiled.load("wire")
    if wire is None:
        return
    elsewhere = timezone(timedelta(hours=-7, minutes=-30))
    records = [
        decision(0),
        decision(1, reserved=True, valid_until=NOW.astimezone(elsewhere), expected_cost_micros=None),
        decision(2, create_time=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        decision(3, create_time=datetime(2100, 2, 28, 23, 0, tzinfo=elsewhere), release_time=NOW, outcome="ran"),
        decision(4, create_time=datetime(2000, 2, 29, tzinfo=UTC), context=b"{}"),
    ]
    width = len(DecisionRecord._fields)
    times = tuple(place for place, name in enumerate(DecisionRecord._fields) if name.endswith(("_time", "_until")))
    for columns in (width - 3, width):
        asked = (records, 1, len(records), columns, times)
        assert wire.flat_values(*asked) == decisions.flat_values(*asked)
    for form in (wire.flat_values, decisions.flat_values):
        with pytest.raises(ValueError, match="zone"):
            form([decision(create_time=NOW.replace(tzinfo=None))], 0, 1, width, times)


def test_records_that_are_marked_already_are_written_whole(database: Database, log: DecisionLog) -> None:
    """Among others that are not, in a group of any size: an outcome, a release and a context come back."""
    records = [decision(number) for number in range(90)]
    records[50] = decision(50, outcome="ran", release_time=NOW, context=b"{}", reserved=True)
    fill(database, *records)
    for number in (0, 49, 50, 51, 89):
        assert log.get("p", records[number].decision_id) == records[number]


def test_a_group_of_which_some_are_there_already_is_written(database: Database, log: DecisionLog) -> None:
    """As after a lost connection: what was there stays as it is, with its marks, and the rest is added."""
    records = [decision(number) for number in range(40)]
    fill(database, *records[:25])
    with database.change() as conn:
        assert decisions.mark_outcome(conn, "p", records[7].decision_id, "ran")
    fill(database, *records)
    for number in (0, 6, 8, 24, 25, 39):
        assert log.get("p", records[number].decision_id) == records[number]
    assert log.get("p", records[7].decision_id) == records[7]._replace(outcome="ran")


def test_a_connection_lost_under_a_group_is_the_databases_fault(postgres_server: PostgresServer) -> None:
    """So the group waits and is written later, instead of being refused; the pool gives no dead connection again."""
    dsn = postgres_server.create_database()
    database = open_database(dsn)
    migrate(database)
    records = [decision(number) for number in range(40)]

    def write_and_lose() -> None:
        with database.write() as conn:
            own = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with database.write() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
            DECISION_SINK.write(conn, records)

    with pytest.raises(UnavailableError):
        write_and_lose()
    fill(database, *records)
    database.close()
    postgres_server.drop_database(dsn)
