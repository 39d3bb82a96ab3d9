"""A failed call as people read it: what went wrong, each field at fault, what to do."""

from rich.text import Text

from trimtab import errors
from trimtab.cli import output as out

_ADVICE: dict[type[errors.CallError], str] = {
    errors.UnauthenticatedError: "give --token, --token-file or --cert and --key; `trimtab doctor` looks closer",
    errors.PermissionDeniedError: "ask for the role on the project, or name another with --project",
    errors.UnavailableError: "is the server running, and --target right? `trimtab doctor` looks closer",
    errors.DeadlineExceededError: "a longer --timeout may help; `trimtab doctor` looks closer",
    errors.AbortedError: "it was changed meanwhile: read it again and retry",
}


def show_failure(error: errors.CallError) -> None:
    """Print a failed call on the standard error."""
    console = out.console(stderr=True)
    console.print(Text.assemble(("error: ", "bold red"), _text(error)))
    for violation in error.violations:
        field = violation.field or "request"
        console.print(Text.assemble("  ", (field, "bold"), f": {violation.description}"))
    facts = [f"{label} {value}" for label, value in _facts(error) if value]
    if facts:
        console.print(Text("  " + ", ".join(facts), style="dim"))
    advice = _ADVICE.get(type(error))
    if error.retry_delay is not None:
        advice = f"ask again in {out.length(error.retry_delay)}"
    if advice:
        console.print(Text(f"  {advice}"))


def _text(error: errors.CallError) -> str:
    """The message, unless the violations below would only say it again."""
    if error.violations:
        plural = "s" if len(error.violations) > 1 else ""
        return f"{len(error.violations)} field{plural} of the request at fault"
    return error.message or error.code.name.lower().replace("_", " ")


def _facts(error: errors.CallError) -> list[tuple[str, str]]:
    return [
        ("reason", error.reason),
        ("code", error.code.name),
        ("correlation id", error.correlation_id),
    ]
