"""What is proved without a service: evidence is checked, blips move nothing, the models hold."""

import random
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.model.test_models import FEWEST_STATES, MUTATIONS, searched
from tests.support.failover_plans import NOW, OBSERVERS, failover_plan
from trimtab.evidence import verify_evidence
from trimtab_service.domain.failover import Detection
from trimtab_service.domain.reasons import RunEventKind
from trimtab_service.failover.admission import PinnedPlan, StartRequest, started
from trimtab_service.failover.chain import Link, links
from trimtab_service.failover.detection import Observed, Report, Verdict, fold, judge
from trimtab_service.failover.documents import plan_bytes, plan_hash
from trimtab_service.failover.evidence import evidence_of
from trimtab_service.failover.run import Change, NewEvent

EVENTS: Final = 10_000
_EVERY: Final = timedelta(seconds=5)
_WELL: Final = (("virginia", True), ("iowa", True))
_DOWN: Final = (("virginia", False), ("iowa", True))


def evidence() -> dict[str, float]:
    """The check of a file of 10,000 events, and of the same with one byte changed, which must be found."""
    kept = failover_plan()
    pinned = PinnedPlan(kept, 1, 1, plan_hash(plan_bytes(kept)))
    first = started(StartRequest("shop", "serving", "virginia", "iowa", "ada"), pinned, "evidence", NOW)
    document = evidence_of(first.run, kept, plan_bytes(kept), _chain(first)).document
    begun = time.perf_counter()
    sound = verify_evidence(document)
    took = time.perf_counter() - begun
    forged = verify_evidence(document.replace(b'"step-7"', b'"step-8"', 1))
    if not sound.is_sound or sound.events != EVENTS or forged.is_sound:
        raise RuntimeError(f"{sound.faults} {forged.faults}")
    return {"verify_10k_s": round(took, 3)}


def _chain(first: Change) -> list[Link]:
    more = (NewEvent(RunEventKind.STEP_BEGUN, f"step-{number}") for number in range(EVENTS - len(first.events)))
    return list(links(first.run, [*first.events, *more], NOW))


def detection(blips: int) -> dict[str, float]:
    """With 5 s between probes, 3 failures and 2 of 3 observers: how long an outage goes on before it is believed.

    And how often one observer alone, who sees failures for a while now and then, makes the rules move a service.
    """
    kept = failover_plan(detection=Detection(observers=OBSERVERS, automatic=True))
    chance = random.Random(0)
    observed, now, false = Observed(), NOW, 0
    blip_left, blind = 0, 0
    for _ in range(blips):
        if not blip_left:
            blip_left, blind = chance.randint(1, 6), chance.randrange(len(OBSERVERS))
        blip_left -= 1
        now += _EVERY
        for number, one in enumerate(OBSERVERS):
            sides = _DOWN if blip_left and number == blind else _WELL
            observed = fold(observed, Report(one.observer_id, now, sides), kept.detection)
        false += judge(kept, observed, "virginia", now).verdict is Verdict.FAIL_OVER
    return {"detection_s": _longest_detection(), "blips": blips, "false_failovers": false}


def _longest_detection() -> float:
    """The outage begins right after everybody has probed; the observers probe one after another."""
    kept = failover_plan(detection=Detection(observers=OBSERVERS, automatic=True))
    observed, probes = Observed(), 0
    while True:
        for number, one in enumerate(OBSERVERS):
            at = NOW + probes * _EVERY + number * _EVERY / len(OBSERVERS)
            observed = fold(observed, Report(one.observer_id, at, _DOWN if probes else _WELL), kept.detection)
            if judge(kept, observed, "virginia", at).verdict is Verdict.FAIL_OVER:
                return (at - NOW).total_seconds()
        probes += 1


def models(*, quick: bool) -> dict[str, float]:
    """The models searched whole, and of their mutations, which must fail, all or one of each model."""
    begun = time.perf_counter()
    mutations = MUTATIONS[:: len(MUTATIONS) - 1] if quick else MUTATIONS
    states = 0
    for number, (model, *mutation) in enumerate([*((model,) for model in FEWEST_STATES), *mutations]):
        with tempfile.TemporaryDirectory(prefix=f"spin-{number}-") as directory:
            found = searched(model, Path(directory), *mutation)
        if bool(found.errors) is not bool(mutation) or not (found.is_complete or mutation):
            raise RuntimeError(f"{model} {mutation}: {found}")
        states += found.states
    return {"models_s": round(time.perf_counter() - begun, 2), "model_states": states, "mutations": len(mutations)}
