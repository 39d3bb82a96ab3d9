"""A decision beside the brute-force answer: the same place, cost, verdict and fallbacks, or what differs."""

from tests.support.brute_force import Answer, BruteForce, Picked
from tests.support.requests import Case
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import Decision, Placement, Verdict
from trimtab_service.placement.engine import decide


def picked(placement: Placement) -> Picked:
    """What of a placement is compared."""
    offer = placement.offer
    return Picked(
        str(offer.cloud), offer.region, offer.zone, offer.instance_type, str(offer.option), placement.terms.total
    )


def difference(decision: Decision, answer: Answer) -> str:
    """Empty when they agree on verdict, chosen place, cost, and every fallback in order."""
    if answer.chosen is None or decision.chosen is None:
        same = answer.chosen is None and decision.verdict in {Verdict.INFEASIBLE, Verdict.UNSUPPORTED}
        return "" if same else f"{decision.verdict} {decision.chosen} but {answer}"
    fallbacks = tuple((picked(other.placement), str(other.differs_by)) for other in decision.fallbacks)
    found = (str(decision.verdict), picked(decision.chosen), fallbacks)
    expected = (answer.verdict, answer.chosen, answer.fallbacks)
    return "" if found == expected else f"{found}\nbut\n{expected}"


def compare(snapshot: CatalogSnapshot, scorer: BruteForce, case: Case) -> tuple[Decision, str]:
    """The decision, and how it differs from looking at every offer."""
    decision = decide(case.query, snapshot, case.policy, case.state, case.instant)
    return decision, difference(decision, scorer.decide(case.query, case.policy, case.state, case.instant))
