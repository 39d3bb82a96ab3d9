"""Words of people for runs, and for how critical a service is. Each raises ValueError, naming those that there are."""

from trimtab.v1 import failover_service_pb2 as pb


def run_kind(text: str) -> "pb.FailoverRun.Kind.ValueType":
    """As `post-recovery`."""
    return pb.FailoverRun.Kind.Value(_known(text, pb.FailoverRun.Kind.keys(), "KIND_"))


def run_mode(text: str) -> "pb.FailoverRun.Mode.ValueType":
    """As `ungraceful`."""
    return pb.FailoverRun.Mode.Value(_known(text, pb.FailoverRun.Mode.keys(), "MODE_"))


def steering_command(text: str) -> "pb.SteerFailoverRunRequest.Command.ValueType":
    """As `retry-step`."""
    kind = pb.SteerFailoverRunRequest.Command
    return kind.Value(_known(text, kind.keys(), "COMMAND_"))


def criticality_of(text: str) -> "pb.Criticality.ValueType":
    """As `high`."""
    return pb.Criticality.Value(_known(text, pb.Criticality.keys(), "CRITICALITY_"))


def _known(text: str, names: list[str], prefix: str) -> str:
    wanted = prefix + text.strip().upper().replace("-", "_")
    if wanted not in names[1:]:
        known = ", ".join(name.removeprefix(prefix).lower().replace("_", "-") for name in names[1:])
        raise ValueError(f"expected one of {known}, not {text!r}")
    return wanted
