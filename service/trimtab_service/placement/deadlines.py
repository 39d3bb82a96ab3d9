"""The earliest deadlines that could be met."""

from collections.abc import Iterator
from math import inf

from trimtab_service.placement.options import SPOT
from trimtab_service.placement.question import Question
from trimtab_service.placement.scan import FEASIBLE, Scan
from trimtab_service.placement.spot import DECISION_TICK_HOURS


def sufficient_hours(question: Question) -> Iterator[float]:
    """Hours from now in which some offer may be done, least first, of a request without its deadline."""
    changeover = 0.0 if question.current is None else question.current.changeover_hours
    if any(code != SPOT for code in question.codes):
        yield question.hours
        yield question.hours + changeover
    if SPOT in question.codes:
        scan = Scan(question)
        feasible = (scan.found.reason == FEASIBLE) & (scan.found.option == SPOT)
        restarts = 2.0 * question.workload.interruption.restart_hours + DECISION_TICK_HOURS
        # Slack must be more than this, hence the minute.
        least = max(float(scan.elapsed[feasible].min(initial=inf)), question.hours + restarts + 1.0 / 60.0)
        if least < inf:
            yield least
            yield least + changeover
