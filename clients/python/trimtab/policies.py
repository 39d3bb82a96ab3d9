"""Methods of `PolicyService`."""

from collections.abc import Iterator
from functools import partial

import grpc

from trimtab.calls import Caller, fresh_request_id, walk_pages
from trimtab.v1 import placement_service_pb2
from trimtab.v1 import policy_service_pb2 as pb
from trimtab.v1.policy_service_pb2_grpc import PolicyServiceStub

_PATH = "/trimtab.v1.PolicyService/"
DEPLOYMENT = ""
"""Parent of policies that hold for every project."""


class Policies:
    """Who may place what where. Every method raises `trimtab.errors.CallError` when the call fails.

    A parent is `DEPLOYMENT`, `projects/{project}` or `projects/{project}/workloads/{workload}`; None means
    the client's project.
    """

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = PolicyServiceStub(channel)
        self._caller = caller

    def create_policy(
        self,
        policy_id: str,
        policy: pb.Policy,
        *,
        parent: str | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.Policy:
        """Add a policy. A condition that does not compile is an `InvalidArgumentError` with the position."""
        request = pb.CreatePolicyRequest(
            parent=self._parent(parent),
            policy_id=policy_id,
            policy=policy,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.CreatePolicy, _PATH + "CreatePolicy", request, timeout)

    def get_policy(self, name: str, *, timeout: float | None = None) -> pb.Policy:
        """Read a policy by name, or by the id of one of the project's own."""
        request = pb.GetPolicyRequest(name=self._caller.name("policies", name))
        return self._caller.unary(self._stub.GetPolicy, _PATH + "GetPolicy", request, timeout)

    def list_policies(
        self, *, parent: str | None = None, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.Policy]:
        """Policies of one level, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListPoliciesRequest(parent=self._parent(parent), filter=where, page_size=page_size)
        return walk_pages(partial(self.list_policies_page, timeout=timeout), request, lambda page: page.policies)

    def list_policies_page(
        self, request: pb.ListPoliciesRequest, *, timeout: float | None = None
    ) -> pb.ListPoliciesResponse:
        """One page of policies."""
        return self._caller.unary(self._stub.ListPolicies, _PATH + "ListPolicies", request, timeout)

    def update_policy(self, policy: pb.Policy, *, request_id: str = "", timeout: float | None = None) -> pb.Policy:
        """Replace the content of the policy that `policy.name` names. With an etag, only that revision."""
        request = pb.UpdatePolicyRequest(policy=policy, request_id=request_id or fresh_request_id())
        request.policy.name = self._caller.name("policies", policy.name)
        return self._caller.unary(self._stub.UpdatePolicy, _PATH + "UpdatePolicy", request, timeout)

    def delete_policy(self, name: str, *, etag: str = "", request_id: str = "", timeout: float | None = None) -> None:
        """Delete a policy. With an etag, only that revision."""
        request = pb.DeletePolicyRequest(
            name=self._caller.name("policies", name), etag=etag, request_id=request_id or fresh_request_id()
        )
        self._caller.unary(self._stub.DeletePolicy, _PATH + "DeletePolicy", request, timeout)

    def get_effective_policy(
        self, workload: placement_service_pb2.Workload, *, timeout: float | None = None
    ) -> pb.EffectivePolicy:
        """Every rule that would hold for a workload of the client's project, with its source."""
        request = pb.GetEffectivePolicyRequest(parent=self._caller.parent(), workload=workload)
        return self._caller.unary(self._stub.GetEffectivePolicy, _PATH + "GetEffectivePolicy", request, timeout)

    def dry_run_policy(
        self, policy: pb.Policy, *, max_decisions: int = 0, timeout: float | None = None
    ) -> pb.DryRunPolicyResponse:
        """Which of the project's latest decisions would change if the policy were in force. Changes nothing."""
        request = pb.DryRunPolicyRequest(parent=self._caller.parent(), policy=policy, max_decisions=max_decisions)
        request.policy.name = self._caller.name("policies", policy.name or "dry-run")
        return self._caller.unary(self._stub.DryRunPolicy, _PATH + "DryRunPolicy", request, timeout)

    def _parent(self, given: str | None) -> str:
        return self._caller.parent() if given is None else given
