"""Whether what started a run by itself still holds, asked just before what is hard to take back."""

from trimtab_service.failover.detection import Verdict
from trimtab_service.failover.reach import StepFailedError
from trimtab_service.failover.run import Trigger
from trimtab_service.failover.steps.call import Call


def confirm_outage(call: Call) -> None:
    """Raise StepFailedError, which pauses the run, unless the observers still say that the side is to be left.

    Only a run that nobody but detection asked for, before its traffic moved, is held against that; a child run is held
    by its parent. Observers who fell silent get as long as a report is believed to speak again: this service may have
    been away itself. Who retries the step has decided, and one that came as far as its effect goes on.
    """
    run, step = call.run, call.step
    decided = bool(step.actor or step.memo or run.override_reason)
    if run.trigger is not Trigger.AUTOMATIC or run.parent_run or run.actual_rto is not None or decided:
        return
    give_up = call.clock() + call.plan.detection.report_ttl
    while (health := call.judged(call.plan, run.from_side)) is not None and health.verdict is not Verdict.FAIL_OVER:
        if health.verdict is Verdict.WELL or call.clock() >= give_up:
            why = ", ".join(reason.name for reason in health.reasons)
            raise StepFailedError(
                f"the observers no longer say that {run.from_side} is to be left ({why}): retry the step to go on"
            )
        call.next_look()
