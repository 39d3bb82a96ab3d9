"""Where to go when the chosen place fails: each fallback in a failure domain of its own.

First the same offer in its region's next zone, where it has one and the gang is not spread: nothing moves, and it
costs the same. Then the best of the regions not used so far, one after the other. Where two or more are asked for
and none lies in another cloud than the chosen place, the last one is the best of the other clouds, if there is any.
"""

from collections.abc import Callable

from trimtab_service.domain.decisions import FailureDomain, Fallback, Placement
from trimtab_service.placement.answer import in_next_zone, placement
from trimtab_service.placement.candidates import Candidate
from trimtab_service.placement.question import Question
from trimtab_service.placement.search import Frontier


def fallbacks(
    question: Question,
    frontier: Frontier,
    chosen: Candidate,
    placed: Placement,
    next_best: Callable[[], Candidate | None],
) -> list[Fallback]:
    """At most as many as the query asks for, best first. The frontier has left the chosen region out."""
    wanted = question.query.max_fallbacks
    found: list[Fallback] = []
    if wanted < 1:
        return found
    near = in_next_zone(question, chosen, placed)
    if near is not None:
        found.append(Fallback(near, FailureDomain.ZONE))
    cloud_of = question.index.clouds
    home = cloud_of[chosen.region]
    clouds = {home}
    while len(found) < wanted:
        candidate = next_best()
        if candidate is None:
            break
        if len(clouds) == 1 and wanted > 1 and len(found) == wanted - 1 and cloud_of[candidate.region] is home:
            frontier.leave_out(question.index.region_sets.by_cloud[home])
            candidate = next_best() or candidate
        cloud = cloud_of[candidate.region]
        domain = FailureDomain.REGION if cloud in clouds else FailureDomain.CLOUD
        clouds.add(cloud)
        found.append(Fallback(placement(question, candidate), domain))
    return found
