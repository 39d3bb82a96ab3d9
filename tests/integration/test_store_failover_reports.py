"""Words of observers are folded where every process sees them."""

from datetime import timedelta

from tests.support.failover_plans import NOW, OBSERVERS, failover_plan
from trimtab_service.failover.detection import Report, Verdict, fold_all, judge
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_reports import FailoverReportStore
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.writer import GroupCommitWriter

OUT = (("virginia", False), ("iowa", True))
NO_KEY = RequestKey("shop", "ReportHealth", "", b"")


def test_what_is_stored_is_the_fold_of_all_reports(database: Database) -> None:
    """Reports come to two processes in turn; each judges as one that heard them all."""
    plan = failover_plan()
    writers = [GroupCommitWriter(database) for _ in range(2)]
    stores = [FailoverReportStore(database, writer, clock=lambda: NOW) for writer in writers]
    reports = [
        Report(one.observer_id, NOW + timedelta(seconds=5 * turn), OUT) for turn in range(3) for one in OBSERVERS
    ]
    for place, report in enumerate(reports):
        stores[place % 2].take(plan, report, NO_KEY)
    observed = stores[0].read(plan)
    assert observed == stores[1].read(plan) == fold_all(reports, plan.detection)
    assert judge(plan, observed, "virginia", reports[-1].observe_time).verdict is Verdict.FAIL_OVER
    for writer in writers:
        writer.close()
