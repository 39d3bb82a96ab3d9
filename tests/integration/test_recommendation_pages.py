"""How recommendations are found and kept in bulk, on both engines: narrowed pages, long runs, earlier forms."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any, Final

import pytest

from tests.support.findings import NOW, advice, content, option, resource, stopping
from trimtab_service.domain.filters import matches, parse_filter
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import Priority, RecommendationContent, TransitionReason
from trimtab_service.recommendations.intake import content_of
from trimtab_service.recommendations.lifecycle import Actor, Move, Verb, move
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.store.engines import Database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.recommendation_documents import content_bytes, read_content
from trimtab_service.store.recommendation_intake import CHUNK
from trimtab_service.store.recommendation_rows import FIELDS, SELECTED, StoredRecommendation
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.writer import GroupCommitWriter

LIFE: Final = timedelta(days=14)
HOUR: Final = timedelta(hours=1)
NEVER: Final = RequestKey("p", "M", "", b"")
LATER: Final = Move(Verb.DISMISS, Actor("ada"), TransitionReason.LATER)


@pytest.fixture
def store(database: Database) -> Iterator[RecommendationStore]:
    """The store under test."""
    writer = GroupCommitWriter(database)
    yield RecommendationStore(database, writer, LIFE)
    writer.close()


NARROWED = (
    'team = "rare"',
    'team = ""',
    'state = "dismissed"',
    'state = "active" AND team = "rare"',
    'kind = "stop"',
    'kind = "rightsize" AND cloud = "gcp"',
    'priority = "p3"',
    'resource_id = "i-00000007"',
    "monthly_saving_micros > 390000000",
    "monthly_saving_micros = 104000000 OR monthly_saving_micros < 3000000",
    'update_time > "2026-11-23T12:30:00Z"',
    'NOT team = "rare" AND update_time <= "2026-11-23T12:30:00Z"',
    'team:"ar"',
)


def _many() -> list[RecommendationContent]:
    """Four hundred, of which few are of the team "rare", of another cloud, or stop something."""
    made: list[RecommendationContent] = []
    for number in range(1, 401):
        plain = stopping(number) if number % 97 == 0 else content(number)
        cloud = Cloud.GCP if number % 89 == 0 else Cloud.AWS
        place = resource(number, team="rare" if number % 41 == 0 else "", cloud=cloud)
        impact = replace(plain.primary_impact, cost_micros=-number * 1_000_000)
        priority = list(Priority)[number % 4 if number % 5 else 0]
        made.append(replace(plain, resource=place, primary_impact=impact, priority=priority))
    return made


def test_every_filter_in_every_order_finds_what_it_finds_in_memory(store: RecommendationStore) -> None:
    """Page by page, whichever index the engine was given for it; a rare match far behind is not lost."""
    contents = _many()
    store.take_in("p", contents[:200], NOW, new_ulid)
    then = NOW + HOUR
    for own in store.take_in("p", contents, then, new_ulid)[::83]:
        store.change("p", own, "", lambda stands: move(stands, LATER, then, LIFE), then, NEVER, lambda _: b"")
    rows = store.list("p", ListRequest("L", "p", "", 1_000)).items
    keys: Mapping[str, Callable[[StoredRecommendation], Any]] = {
        "create_time": lambda row: row.recommendation_id,
        "update_time": lambda row: row.change,
        "monthly_saving": lambda row: (row.monthly_saving_micros, row.recommendation_id),
        "priority": lambda row: (row.priority, row.recommendation_id),
    }
    kinds_of = {name: field.kind for name, field in FIELDS.items()}
    for text_of_filter, (name, key) in product(NARROWED, keys.items()):
        tree = parse_filter(text_of_filter, kinds_of)
        wanted = [row for row in rows if matches(tree, partial(getattr, row))]
        assert 0 < len(wanted) < 400
        for words in (name, f"{name} desc"):
            expected = sorted(wanted, key=key, reverse=words.endswith("desc"))
            found: list[str] = []
            request = ListRequest("L", "p", text_of_filter, 3)
            while True:
                page = store.list("p", request, words)
                found += [row.recommendation_id for row in page.items]
                if not page.next_page_token:
                    break
                request = replace(request, page_token=page.next_page_token)
            assert found == [row.recommendation_id for row in expected], (text_of_filter, words)


def test_a_run_of_many_parts_is_taken_in_whole(store: RecommendationStore, database: Database) -> None:
    """More than one transaction holds, each made ready while the one before is written; ids ascend over all of them."""
    contents = [content(number) for number in range(1, 2 * CHUNK + 3)]
    ids = store.take_in("p", contents, NOW, new_ulid)
    assert list(ids) == sorted(set(ids))
    with database.read() as conn:
        rows = [StoredRecommendation(*row) for row in conn.execute(SELECTED.order_by("recommendation_id"))]
    assert [row.recommendation().content for row in rows] == contents
    assert [row.change for row in rows] == list(range(1, len(contents) + 1))
    again = store.take_in("p", [*contents[:-1], replace(contents[-1], confidence=0.1)], NOW + HOUR, new_ulid)
    assert again == ids
    assert store.last_change("p") == len(contents) + 1


FORM_1: Final = (
    b'[1,["aws/123456789012/us-east-1/instance/i-00000001#rightsize#m5.2xlarge","rightsize","p3",["i-00000001","aws",'
    b'"us-east-1","instance","","123456789012","m5.2xlarge",1,null,null,"on_demand",null,[["team","vision"]],null,"",'
    b'"vision",null,false],["cost",-140160000,2628000000000,1.0,[],null],[],"aws/123456789012/us-east-1/instance/'
    b'i-00000001",[[[["stop_instance","i-00000001",[["State","running","stopped"]]],["modify_instance_type",'
    b'"i-00000001",[["InstanceType","m5.2xlarge","m5.xlarge"]]],["start_instance","i-00000001",[["State","stopped",'
    b'"running"]]]]]],"Resize i-00000001 in aws us-east-1 from m5.2xlarge to m5.xlarge: saves $140.16 a month (50 %), '
    b'risk 1.0 of 4.",["CPU_OVER_PROVISIONED","MEMORY_OVER_PROVISIONED"],0.9,"starter-1","cw","",[1,"resize","aws",'
    b'"us-east-1","m5.xlarge",1,[4.0,16.0,"",0.0,null,10.0,null,null],192000000,"list",20758,140160000,140160000,'
    b'140160000,140160000,[["cpu",4.0,2.5,0.3,0.55,0.7,1.0,[0.004,0.001,0.012,0.95,0.4,7,1,0.005,0.42],false]],1.0,"cpu",'
    b'"very_low",true,true,["CPU_OVER_PROVISIONED"],"",[0.004,0.001,0.012,0.95,0.4,7,1,0.005,0.42],null,null,[]],null,[]]]'
)


def test_contents_of_the_first_form_are_read() -> None:
    """What an earlier version stored, as JSON alone; what is damaged is refused in either form."""
    told = option(dimensions=option().dimensions[:1])
    wanted = content_of(advice(resource(1), options=(told,), current=None), "cw")
    assert wanted is not None
    wanted = replace(
        wanted, operation_groups=read_content(FORM_1).operation_groups, summary=read_content(FORM_1).summary
    )
    assert read_content(FORM_1) == wanted
    data = content_bytes(wanted)
    for damaged in (b"", FORM_1[:-1], data[:-4], data[:3], b"\x07" + data[1:], data[:5] + data[13:]):
        with pytest.raises(ValueError, match="content"):
            read_content(damaged)
