"""Whether to stay: what the current place costs, and whether moving gains enough."""

from math import ceil

from trimtab_service.placement.candidates import Candidate
from trimtab_service.placement.options import OPTION_OF_CODE
from trimtab_service.placement.question import Question
from trimtab_service.placement.search import Frontier


def is_staying(question: Question, candidate: Candidate) -> bool:
    """Whether a candidate is where the workload runs already, as far as that is known."""
    return question.is_current(candidate.region, candidate.instance_type, OPTION_OF_CODE[candidate.option])


def best_staying(question: Question, explicit: list[Candidate]) -> Candidate | None:
    """The best feasible offer that is the current place; None when there is none any more.

    Where the type is not known, the best offer of the region stands for it.
    """
    current = question.current
    if current is None:
        return None
    found = [candidate for candidate in explicit if is_staying(question, candidate)]
    if not current.instance_type:
        opened = Frontier(question).open_region(question.current_region)
        found.extend(candidate for candidate in opened if is_staying(question, candidate))
    return min(found, default=None)


def gains_enough(question: Question, staying: Candidate, best: Candidate) -> bool:
    """Whether moving from one to the other gains the minimum: the amount and the fraction that are asked for."""
    current = question.current
    if current is None:
        return True
    # A preference of policy holds where the request names none.
    fraction = current.minimum_gain_fraction or question.policy.minimum_gain_fraction
    threshold = max(current.minimum_gain_micros, ceil(staying.cost * fraction))
    return staying.cost - best.cost >= threshold
