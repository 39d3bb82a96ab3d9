"""The policy service."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from trimtab.v1 import placement_service_pb2
from trimtab.v1 import policy_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.policy import PolicyContent, PolicyDefinition
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.policy.attributes import attributes_of
from trimtab_service.policy.request_rules import rules_with_request
from trimtab_service.rpc import names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.dry_run import DEFAULT, MOST, DryRun
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.place_parser import PlaceParser
from trimtab_service.rpc.policy_codec import encode_effective
from trimtab_service.rpc.replay import Replayer
from trimtab_service.rpc.stored_policies import draft_of, encode_policy, parse_policy
from trimtab_service.rpc.world import World
from trimtab_service.store.decisions import DecisionLog
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.resources import Resource, ResourceId, ResourceStore


class PolicyServicer:
    """Answers from the store; a change is in force in this process when its answer leaves."""

    def __init__(
        self,
        store: ResourceStore,
        world: World,
        log: DecisionLog,
        replayer: Replayer,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """`store` keeps policies, `log` and `replayer` give the decisions of a dry run."""
        self._store = store
        self._world = world
        self._dry_run = DryRun(log, replayer)
        self._clock = clock

    def create_policy(self, request: pb.CreatePolicyRequest, call: Call) -> pb.Policy:
        """Add one."""
        parent = names.policy_parent(request.parent)
        own = request.policy_id
        found = Violations()
        with found.gather():
            names.resource_id(own, "policy_id")
        content = self._parse(request.policy, request.request_id, call, found)
        stored = self._store.create(
            ResourceId(call.project, parent, own),
            draft_of(request.policy, content),
            self._clock(),
            _key(request, call),
            call.time_remaining(),
        )
        return self._answer(stored)

    def get_policy(self, request: pb.GetPolicyRequest, call: Call) -> pb.Policy:
        """One."""
        del call
        return encode_policy(self._store.get(*names.policy(request.name)))

    def list_policies(self, request: pb.ListPoliciesRequest, call: Call) -> pb.ListPoliciesResponse:
        """A page of one level, oldest first."""
        del call
        parent = names.policy_parent(request.parent)
        asked = ListRequest("ListPolicies", parent, request.filter, request.page_size, request.page_token)
        page = self._store.list(asked)
        return pb.ListPoliciesResponse(
            policies=[encode_policy(stored) for stored in page.items], next_page_token=page.next_page_token
        )

    def update_policy(self, request: pb.UpdatePolicyRequest, call: Call) -> pb.Policy:
        """Replace the content; the name stays."""
        parent, own = names.policy(request.policy.name, "policy.name")
        content = self._parse(request.policy, request.request_id, call, Violations())
        draft = draft_of(request.policy, content)
        stored = self._store.update(
            ResourceId(call.project, parent, own),
            lambda _: draft,
            request.policy.etag,
            self._clock(),
            _key(request, call),
            call.time_remaining(),
        )
        return self._answer(stored)

    def delete_policy(self, request: pb.DeletePolicyRequest, call: Call) -> Empty:
        """Remove one; its versions stay for replay."""
        parent, own = names.policy(request.name)
        gone = self._store.delete(
            ResourceId(call.project, parent, own),
            request.etag,
            self._clock(),
            _key(request, call),
            call.time_remaining(),
        )
        self._world.sync_to(gone.revision)
        return Empty()

    def get_effective_policy(self, request: pb.GetEffectivePolicyRequest, call: Call) -> pb.EffectivePolicy:
        """What holds for a workload now, its own words included."""
        del call
        project = names.project_id(request.parent)
        view = self._world.view(project)
        asked = placement_service_pb2.PlaceRequest(workload=request.workload)
        query = PlaceParser(view.vocabulary, self._clock()).parse(asked, project)
        workload = query.workload
        effective = view.policies.effective(project, workload.workload_id, lambda: attributes_of(query))
        given = bool(request.workload.purchase_options)
        rules = rules_with_request(effective, workload, options_given=given)
        return encode_effective(replace(effective, sources=rules))

    def dry_run_policy(self, request: pb.DryRunPolicyRequest, call: Call) -> pb.DryRunPolicyResponse:
        """Past decisions made anew."""
        project = names.project_id(request.parent)
        parent, own = names.policy(request.policy.name, "policy.name")
        if parent and parent.split("/")[1] != project:
            raise InvalidArgumentError(
                [Violation("policy.name", ErrorReason.CONTRADICTION, "belongs to another project than parent")]
            )
        if not 0 <= request.max_decisions <= MOST:
            raise InvalidArgumentError(
                [Violation("max_decisions", ErrorReason.OUT_OF_RANGE, f"must be from 0 to {MOST:,}")]
            )
        content = parse_policy(request.policy, self._world.view(call.project).vocabulary)
        policy = PolicyDefinition(parent, own, content)
        return self._dry_run.run(policy, project, request.max_decisions or DEFAULT, call)

    def _parse(self, message: pb.Policy, request_id: str, call: Call, found: Violations) -> PolicyContent:
        """The content, when neither it nor what was `found` before is at fault."""
        content = None
        with found.gather():
            names.request_id(request_id)
        with found.gather():
            content = parse_policy(message, self._world.view(call.project).vocabulary)
        found.check()
        if content is None:
            raise AssertionError(message.name)  # content is missing only where a violation was found
        return content

    def _answer(self, stored: Resource) -> pb.Policy:
        self._world.sync_to(stored.revision)
        return encode_policy(stored)


def _key(request: Message, call: Call) -> RequestKey:
    """Whose request this is, for idempotency."""
    request_id = names.request_id(str(getattr(request, "request_id", "")))
    body = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return RequestKey(call.project, call.method.rpartition("/")[2], request_id, body)
