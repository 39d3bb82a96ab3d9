"""How long a decision stays the same when nothing is reported, drawn or changed."""

from datetime import datetime

from trimtab_service.domain.workloads import Workload
from trimtab_service.placement.state import ProjectState


def holds_all_day(workload: Workload, state: ProjectState, instant: datetime) -> bool:
    """Whether the same request gives the same decision at every later instant of the same UTC day.

    But for `valid_until`, which is then `VALID_FOR` after the instant.

    Prices age by the day. Within one, time only enters through deadlines and latest starts, through blocks that end,
    and through commitments and draws that begin or end.
    """
    return (
        workload.deadline is None
        and workload.latest_start is None
        and not workload.quotas
        and not state.rooms.has_commitments
        and not (state.learned.has_blocks and state.learned.active_blocks(instant))
    )
