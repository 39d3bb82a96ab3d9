"""How the enums and durations of failover read in the domain, and back."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.failover import RunKind, RunMode, RunState, StepState
from trimtab_service.failover.detection import Verdict
from trimtab_service.failover.findings import Severity
from trimtab_service.failover.ports import Fencing
from trimtab_service.failover.run import Command
from trimtab_service.failover.strategy import Criticality, Strategy

KIND_CODE: Final = {kind: pb.FailoverRun.Kind.Value(f"KIND_{kind.name}") for kind in RunKind}
MODE_CODE: Final = {mode: pb.FailoverRun.Mode.Value(f"MODE_{mode.name}") for mode in RunMode}
STATE_CODE: Final = {state: pb.FailoverRun.State.Value(f"STATE_{state.name}") for state in RunState}
STEP_CODE: Final = {state: pb.StepRun.State.Value(f"STATE_{state.name}") for state in StepState}
SEVERITY_CODE: Final = {one: pb.PlanFinding.Severity.Value(f"SEVERITY_{one.name}") for one in Severity}
VERDICT_CODE: Final = {one: pb.ServiceHealth.Verdict.Value(f"VERDICT_{one.name}") for one in Verdict}
STRATEGY_CODE: Final = {one: pb.DrStrategy.Value(f"DR_STRATEGY_{one.name}") for one in Strategy}
CRITICALITY_OF: Final = {pb.Criticality.Value(f"CRITICALITY_{one.name}"): one for one in Criticality}
FENCING_CODE: Final = {
    Fencing.NONE: pb.FENCING_UNSPECIFIED,
    Fencing.WEAK: pb.FENCING_WEAK,
    Fencing.STRONG: pb.FENCING_STRONG,
}
KIND_OF: Final[Mapping[int, RunKind]] = {code: kind for kind, code in KIND_CODE.items()}
MODE_OF: Final[Mapping[int, RunMode]] = {code: mode for mode, code in MODE_CODE.items()}
COMMAND_OF: Final[Mapping[int, Command]] = {
    pb.SteerFailoverRunRequest.Command.Value(f"COMMAND_{one.name}"): one for one in Command
}


def duration_of(length: timedelta) -> Duration:
    """A message, exact to the microsecond."""
    message = Duration()
    message.FromTimedelta(length)
    return message
