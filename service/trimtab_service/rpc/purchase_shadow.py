"""Shadow prices of what is owned: where a committed dollar is idle, hour by hour and by the hour of the week."""

from collections.abc import Callable
from typing import Final

import numpy as np

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.purchasing.optimiser import optimise
from trimtab_service.purchasing.plan_request import PlanRequest, require_sound
from trimtab_service.purchasing.pools import Question, pools_of
from trimtab_service.purchasing.shadow_prices import hourly_room
from trimtab_service.purchasing.timeline import timeline_of
from trimtab_service.rpc.vocabulary import set_timestamp

_WEEK_H: Final = 168
_IDLE: Final = 1e-9


def shadow_prices(request: PlanRequest, stop: Callable[[], bool]) -> pb.ShadowPrices:
    """Of the usage as it was, under what is owned; nothing is bought. Raises InvalidArgumentError."""
    require_sound(request)
    cuts = [instant for level in request.owned for instant in (level.start_time, level.end_time)]
    timeline = timeline_of(request.usage, request.terms, request.changes, cuts)
    pools = pools_of(Question(timeline, (), request.owned, request.spot, request.terms, request.limits))
    solved = [optimise(pool.program, stop) for pool in pools]
    room = hourly_room(pools, [one.amounts for one in solved], [one.prices for one in solved])
    message = pb.ShadowPrices(hourly_worth=room.price.tolist(), hourly_idle=room.room.tolist())
    set_timestamp(message.start_time, request.usage.start)
    idle = room.room > _IDLE
    message.idle_fraction = float(idle.mean()) if idle.size else 0.0
    start = request.usage.start
    offset = start.weekday() * 24 + start.hour
    of_week = (np.arange(idle.size) + offset) % _WEEK_H
    seen = np.bincount(of_week, minlength=_WEEK_H)
    found = np.bincount(of_week, weights=idle, minlength=_WEEK_H)
    message.idle_by_hour_of_week.extend((found / np.maximum(seen, 1)).tolist())
    return message
