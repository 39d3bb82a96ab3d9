"""Past decisions made anew as if a policy had been in force. Nothing is logged, drawn or changed."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from trimtab.v1 import placement_service_pb2, types_pb2
from trimtab.v1 import policy_service_pb2 as pb
from trimtab_service.domain.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from trimtab_service.domain.money import INT64_MAX, MICROS_PER_USD, Money
from trimtab_service.domain.offers import PriceBasis
from trimtab_service.domain.policy import PolicyDefinition
from trimtab_service.domain.reasons import ErrorReason, RejectionReason
from trimtab_service.policy.attributes import attributes_of
from trimtab_service.policy.exclusions import Place, exclusions
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.place_parser import PlaceParser
from trimtab_service.rpc.replay import Replayer, remake
from trimtab_service.rpc.vocabulary import BASES_OF, OPTION_OF, set_micros
from trimtab_service.rpc.world import View
from trimtab_service.store.decisions import DecisionLog, DecisionRecord
from trimtab_service.store.pages import LARGEST_PAGE, ListRequest

MOST: Final = 1_000
DEFAULT: Final = 100
_MOST_MICROS: Final = INT64_MAX * MICROS_PER_USD
"""The largest amount that the contract can say; only the sum of absurd costs is over it."""


class DryRun:
    """Answers from the log and what replay keeps."""

    def __init__(self, log: DecisionLog, replayer: Replayer) -> None:
        self._log = log
        self._replayer = replayer

    def run(self, policy: PolicyDefinition, project: str, most: int, call: Call) -> pb.DryRunPolicyResponse:
        """The latest `most` decisions of the project with the policy added, or in the place of its namesake.

        A decision counts as unchanged when verdict, place, cost and approval are the logged ones. Decisions
        whose catalogue or journal is no longer kept are passed over.

        Raises:
            DeadlineExceededError: the caller's time ran out between two decisions.

        """
        response = pb.DryRunPolicyResponse()
        difference = 0
        for record in self._latest(project, most):
            call.check()
            try:
                view = self._replayer.view_of(record)
            except (NotFoundError, FailedPreconditionError):
                continue
            policies = view.policies.changed(policy, view.policies.revision)
            ruled = view._replace(policies=policies)
            before = placement_service_pb2.Decision.FromString(record.response)
            after = _again(record, ruled)
            response.decisions += 1
            if after is not None and _outcome(before) == _outcome(after):
                response.unchanged += 1
                continue
            feasible = after is not None and after.HasField("chosen")
            change = response.changes.add(decision=before.name)
            if before.HasField("chosen"):
                _fill(change.before, before.chosen)
                change.reasons.extend(reason.name for reason in _reasons(record, ruled, before, after))
            if after is not None and feasible:
                _fill(change.after, after.chosen)
                if before.HasField("chosen"):
                    difference += _micros(after.chosen) - _micros(before.chosen)
        set_micros(response.cost_difference, max(-_MOST_MICROS, min(difference, _MOST_MICROS)))
        return response

    def _latest(self, project: str, most: int) -> Iterator[DecisionRecord]:
        token = ""
        while most > 0:
            asked = ListRequest("DryRunPolicy", f"projects/{project}", "", min(most, LARGEST_PAGE), token)
            page = self._log.list(project, asked)
            yield from page.items
            most -= len(page.items)
            token = page.next_page_token
            if not token:
                return


def _again(record: DecisionRecord, view: View) -> placement_service_pb2.Decision | None:
    """The decision under the policy; None when the policy refuses the request itself."""
    request = placement_service_pb2.PlaceRequest.FromString(record.request)
    try:
        return remake(record, request, view).message
    except InvalidArgumentError as error:
        if error.reason is not ErrorReason.POLICY_VIOLATED:
            raise
        return None


def _outcome(decision: placement_service_pb2.Decision) -> tuple[object, ...]:
    """What makes two decisions the same."""
    chosen = decision.chosen
    return (
        decision.verdict,
        chosen.offer.SerializeToString(deterministic=True),
        _micros(chosen),
        tuple(chosen.commitments),
        decision.approval_required_by,
    )


def _reasons(
    record: DecisionRecord,
    view: View,
    before: placement_service_pb2.Decision,
    after: placement_service_pb2.Decision | None,
) -> tuple[RejectionReason, ...]:
    """What keeps the request from the place that it had; nothing where it keeps the place (at another cost or with
    an approval). A place that no guardrail excludes is left for a better one: a preference changed the order.
    """  # noqa: D205
    if after is None:
        return (RejectionReason.POLICY,)
    if after.HasField("chosen") and after.chosen.offer == before.chosen.offer:
        return ()
    request = placement_service_pb2.PlaceRequest.FromString(record.request)
    query = PlaceParser(view.vocabulary, record.create_time).parse(request, record.project)
    policy = view.policies.effective(record.project, query.workload.workload_id, lambda: attributes_of(query))
    place = _place(before.chosen, view)
    broken = () if place is None else exclusions(policy, place, record.create_time.date())
    if broken:
        return broken
    return (RejectionReason.COSTLIER if after.HasField("chosen") else RejectionReason.POLICY,)


def _place(chosen: placement_service_pb2.Placement, view: View) -> Place | None:
    """A logged place in the terms of guardrails."""
    offer, snapshot = chosen.offer, view.snapshot
    location = view.vocabulary.region(offer.cloud, offer.region)
    if location is None:
        return None
    kind = snapshot.type_index.get((location.cloud, offer.instance_type))
    return Place(
        location=location,
        country=snapshot.regions[snapshot.region_index[location.cloud, location.region]].country,
        family="" if kind is None else snapshot.families[int(snapshot.types.family[kind])],
        instance_type=offer.instance_type,
        option=OPTION_OF[offer.purchase_option],
        basis=_basis(offer),
        as_of=_day(offer),
        expected_interruptions=chosen.expected_interruptions,
        cost_micros=_micros(chosen),
    )


def _basis(offer: types_pb2.Offer) -> PriceBasis | None:
    """One of the bases that the contract's stands for: a policy allows all of them or none."""
    bases = BASES_OF.get(offer.price_basis)
    return min(bases) if bases else None


def _day(offer: types_pb2.Offer) -> date | None:
    if not offer.HasField("price_as_of"):
        return None
    return date(offer.price_as_of.year, offer.price_as_of.month, offer.price_as_of.day)


def _micros(chosen: placement_service_pb2.Placement) -> int:
    cost = chosen.expected_cost
    return Money.from_units_and_nanos(cost.units, cost.nanos).micros


def _fill(message: placement_service_pb2.Fallback, chosen: placement_service_pb2.Placement) -> None:
    message.offer.CopyFrom(chosen.offer)
    message.expected_cost.CopyFrom(chosen.expected_cost)
    message.risk = chosen.risk
