"""What a person reads: one sentence, and a card for a chat window. Rendered from the content, never stored apart."""

from dataclasses import dataclass
from typing import Final

from trimtab_service.domain.recommendations import Kind, Recommendation, RecommendationContent, State
from trimtab_service.domain.resources import CloudResource
from trimtab_service.domain.rightsizing import Action, RightsizingOption

_MICROS: Final = 1_000_000
_LONGEST_ID: Final = 64


@dataclass(frozen=True, slots=True)
class Card:
    """One line, markdown lines, and the RPCs that a person may answer with (label, method)."""

    title: str
    lines: tuple[str, ...]
    actions: tuple[tuple[str, str], ...]


_ACTIONS: Final[dict[State, tuple[tuple[str, str], ...]]] = {
    State.ACTIVE: (("Claim", "ClaimRecommendation"), ("Dismiss", "DismissRecommendation")),
    State.CLAIMED: (
        ("Approve", "ApproveRecommendation"),
        ("Apply", "ApplyRecommendation"),
        ("Done elsewhere", "MarkRecommendationSucceeded"),
        ("Give back", "ReopenRecommendation"),
    ),
    State.SUCCEEDED: (("Verify", "VerifyRecommendation"), ("Roll back", "RollBackRecommendation")),
    State.FAILED: (("Reopen", "ReopenRecommendation"),),
    State.DISMISSED: (("Reopen", "ReopenRecommendation"),),
    State.EXPIRED: (),
    State.SUPERSEDED: (),
}


def dollars(micros: int) -> str:
    """`$1,234.56`, to the cent, halves up in amount."""
    cents = (abs(micros) * 100 + _MICROS // 2) // _MICROS
    return f"${cents // 100:,}.{cents % 100:02}"


def sizing_summary(resource: CloudResource, option: RightsizingOption, monthly_saving_micros: int) -> str:
    """One sentence: what to do to which resource, what it brings, at which risk."""
    return f"{_what(resource, option)}: {_money(monthly_saving_micros)}{_percent(option)}{_risk(option)}."


def card_of(recommendation: Recommendation) -> Card:
    """The card of a recommendation as it stands."""
    content = recommendation.content
    resource = content.resource
    lines = [
        content.summary,
        f"*Resource* `{shown_id(resource)}` in {resource.cloud} {resource.region}"
        + (f", account {resource.account}" if resource.account else ""),
        f"*Priority* {content.priority.value.upper()}  *State* {recommendation.state.value.upper()}",
    ]
    if resource.team:
        lines.append(f"*Team* {resource.team}")
    option = content.rightsizing_option
    if option is not None and option.back_test is not None:
        test = option.back_test
        lines.append(
            f"*Back-test* {test.exceedance:.2%} of intervals above the new size "
            f"({test.exceedance_low:.2%} to {test.exceedance_high:.2%} at {test.confidence_level:.0%})"
        )
    if recommendation.approval_source:
        lines.append(f"*Approval* asked for by {recommendation.approval_source}")
    return Card(_title(content), tuple(lines), _ACTIONS[recommendation.state])


def shown_id(resource: CloudResource) -> str:
    """The id, cut where it would fill the line, without what a chat would read as markup."""
    own = resource.resource_id.replace("`", "'").replace("\n", " ")
    return own if len(own) <= _LONGEST_ID else own[: _LONGEST_ID - 1] + "…"


def _title(content: RecommendationContent) -> str:
    verb = {
        Kind.STOP: "Stop",
        Kind.RIGHTSIZE: "Resize",
        Kind.SCHEDULE: "Schedule",
        Kind.PURCHASE: "Buy for",
        Kind.ROLLBACK: "Roll back",
        Kind.MOVE: "Move",
    }[content.kind]
    return f"{verb} {shown_id(content.resource)}"


def _what(resource: CloudResource, option: RightsizingOption) -> str:
    own, place = shown_id(resource), f"{resource.cloud} {resource.region}"
    if option.action is Action.STOP:
        return f"Stop {own} ({_size(resource.instance_type, resource.count)} in {place}), which nothing uses"
    if option.action is Action.SCHEDULE:
        return f"Run {own} ({_size(resource.instance_type, resource.count)} in {place}) only in the hours it is used"
    if option.action is Action.SET_REQUESTS:
        capacity = option.capacity
        return f"Set the requests of {own} to {capacity.vcpus or 0:g} CPUs and {capacity.memory_gib or 0:g} GiB"
    after = _size(option.instance_type, option.count) + (f" ({option.gpu_share})" if option.gpu_share else "")
    if (option.cloud, option.region) != (resource.cloud, resource.region):
        after += f" in {option.cloud} {option.region}"
    return f"Resize {own} in {place} from {_size(resource.instance_type, resource.count)} to {after}"


def _size(instance_type: str, count: int) -> str:
    shown = instance_type or "its present size"
    return shown if count == 1 else f"{count} x {shown}"


def _money(saving_micros: int) -> str:
    if saving_micros > 0:
        return f"saves {dollars(saving_micros)} a month"
    if saving_micros < 0:
        return f"costs {dollars(saving_micros)} more a month"
    return "costs the same"


def _percent(option: RightsizingOption) -> str:
    before = option.monthly_net_cost_micros + option.monthly_net_saving_micros
    if before <= 0 or option.monthly_net_saving_micros <= 0:
        return ""
    return f" ({100 * option.monthly_net_saving_micros / before:.0f} %)"


def _risk(option: RightsizingOption) -> str:
    return "" if option.action is Action.STOP else f", risk {option.risk:.1f} of 4"
