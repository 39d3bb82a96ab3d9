"""Which role each RPC needs, and where. A method that is not in the table cannot be registered.

`docs/roles.md` is generated from here. Names nested deeper in a request need no entry: `authorization`
finds every field that the contract marks as a resource reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from trimtab_service.domain.identity import Role


class Scope(Enum):
    """Where the role must be held; the value is the sentence in the documentation."""

    PROJECT = "in the project that the field names"
    PROJECT_OR_DEPLOYMENT = "in the project that the field names; deployment-wide when it names none"
    PROJECT_OR_SHARED = "in the project that the field names; in any project when it names none"
    ANY_PROJECT = "in any project"
    DEPLOYMENT = "deployment-wide"


@dataclass(frozen=True, slots=True)
class Access:
    """The role a method needs, where, and the field (dotted path) that names the project."""

    role: Role
    scope: Scope
    field: str = ""


def _on(role: Role, field: str, scope: Scope = Scope.PROJECT) -> Access:
    return Access(role, scope, field)


_SHARED_READ = Access(Role.VIEWER, Scope.ANY_PROJECT)

ACCESS: Mapping[str, Access] = {
    "/trimtab.v1.PlacementService/Place": _on(Role.SCHEDULER, "parent"),
    "/trimtab.v1.PlacementService/BatchPlace": _on(Role.SCHEDULER, "parent"),
    "/trimtab.v1.PlacementService/ExplainPlacement": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.PlacementService/ReportOutcome": _on(Role.SCHEDULER, "parent"),
    "/trimtab.v1.PlacementService/GetDecision": _on(Role.VIEWER, "name"),
    "/trimtab.v1.PlacementService/ListDecisions": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.PlacementService/ReleaseDecision": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.CatalogService/GetCatalog": _SHARED_READ,
    "/trimtab.v1.CatalogService/ListCatalogs": _SHARED_READ,
    "/trimtab.v1.CatalogService/ListOffers": _SHARED_READ,
    "/trimtab.v1.CatalogService/RefreshCatalog": Access(Role.OPERATOR, Scope.DEPLOYMENT),
    "/trimtab.v1.PolicyService/CreatePolicy": _on(Role.OPERATOR, "parent", Scope.PROJECT_OR_DEPLOYMENT),
    "/trimtab.v1.PolicyService/GetPolicy": _on(Role.VIEWER, "name", Scope.PROJECT_OR_SHARED),
    "/trimtab.v1.PolicyService/ListPolicies": _on(Role.VIEWER, "parent", Scope.PROJECT_OR_SHARED),
    "/trimtab.v1.PolicyService/UpdatePolicy": _on(Role.OPERATOR, "policy.name", Scope.PROJECT_OR_DEPLOYMENT),
    "/trimtab.v1.PolicyService/DeletePolicy": _on(Role.OPERATOR, "name", Scope.PROJECT_OR_DEPLOYMENT),
    "/trimtab.v1.PolicyService/GetEffectivePolicy": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.PolicyService/DryRunPolicy": _on(Role.OPERATOR, "parent"),
    "/trimtab.v1.CommitmentService/CreateCommitment": _on(Role.OPERATOR, "parent"),
    "/trimtab.v1.CommitmentService/ImportCommitments": _on(Role.OPERATOR, "parent"),
    "/trimtab.v1.CommitmentService/GetCommitment": _on(Role.VIEWER, "name"),
    "/trimtab.v1.CommitmentService/ListCommitments": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.CommitmentService/EndCommitment": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.PurchasingService/OptimizePurchasePlan": _on(Role.SCHEDULER, "parent"),
    "/trimtab.v1.PurchasingService/StreamOptimizePurchasePlan": _on(Role.SCHEDULER, "request.parent"),
    "/trimtab.v1.PurchasingService/EvaluatePurchasePlan": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.PurchasingService/StreamEvaluatePurchasePlan": _on(Role.VIEWER, "request.parent"),
    "/trimtab.v1.PurchasingService/BacktestPurchasePolicy": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.PurchasingService/PlanLadder": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.PurchasingService/GetShadowPrices": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.PurchasingService/StreamGetShadowPrices": _on(Role.VIEWER, "request.parent"),
    "/trimtab.v1.PurchasingService/FetchProviderRecommendation": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.RightsizingService/Rightsize": _on(Role.SCHEDULER, "parent"),
    "/trimtab.v1.RightsizingService/BatchRightsize": _on(Role.SCHEDULER, "parent"),
    "/trimtab.v1.RightsizingService/StreamRightsize": _on(Role.SCHEDULER, "request.parent"),
    "/trimtab.v1.RightsizingService/StartFleetAnalysis": _on(Role.OPERATOR, "parent"),
    "/trimtab.v1.RightsizingService/GetFleetAnalysis": _on(Role.VIEWER, "name"),
    "/trimtab.v1.RightsizingService/ListFleetAnalyses": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.RightsizingService/CancelFleetAnalysis": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.RightsizingService/WatchFleetAnalysis": _on(Role.VIEWER, "name"),
    "/trimtab.v1.RightsizingService/ListTelemetrySources": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.RecommendationService/GetRecommendation": _on(Role.VIEWER, "name"),
    "/trimtab.v1.RecommendationService/ListRecommendations": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.RecommendationService/WatchRecommendations": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.RecommendationService/SummarizeRecommendations": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.RecommendationService/ClaimRecommendation": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.RecommendationService/MarkRecommendationSucceeded": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.RecommendationService/MarkRecommendationFailed": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.RecommendationService/DismissRecommendation": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.RecommendationService/ReopenRecommendation": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.RecommendationService/ApproveRecommendation": _on(Role.APPROVER, "name"),
    "/trimtab.v1.RecommendationService/ApplyRecommendation": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.RecommendationService/RollBackRecommendation": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.RecommendationService/VerifyRecommendation": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.FailoverService/CreateFailoverPlan": _on(Role.OPERATOR, "parent"),
    "/trimtab.v1.FailoverService/GetFailoverPlan": _on(Role.VIEWER, "name"),
    "/trimtab.v1.FailoverService/ListFailoverPlans": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.FailoverService/UpdateFailoverPlan": _on(Role.OPERATOR, "failover_plan.name"),
    "/trimtab.v1.FailoverService/DeleteFailoverPlan": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.FailoverService/EvaluateFailoverPlan": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.FailoverService/StartFailover": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.FailoverService/GetFailoverRun": _on(Role.VIEWER, "name"),
    "/trimtab.v1.FailoverService/ListFailoverRuns": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.FailoverService/WatchFailoverRun": _on(Role.VIEWER, "name"),
    "/trimtab.v1.FailoverService/SteerFailoverRun": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.FailoverService/DecideFailoverStep": _on(Role.APPROVER, "name"),
    "/trimtab.v1.FailoverService/ReportHealth": _on(Role.SCHEDULER, "name"),
    "/trimtab.v1.FailoverService/CheckServiceHealth": _on(Role.VIEWER, "name"),
    "/trimtab.v1.FailoverService/ExportFailoverEvidence": _on(Role.VIEWER, "name"),
    "/trimtab.v1.FailoverService/ExportRunbook": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.FailoverService/AdviseDrStrategy": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.ReplicationService/ListReplications": _on(Role.VIEWER, "parent"),
    "/trimtab.v1.ReplicationService/GetReplication": _on(Role.VIEWER, "name"),
    "/trimtab.v1.ReplicationService/StartReplication": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.ReplicationService/PauseReplication": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.ReplicationService/ReverseReplication": _on(Role.OPERATOR, "name"),
    "/trimtab.v1.ReplicationService/CompareReplication": _on(Role.VIEWER, "name"),
}
"""Full method name to what it needs."""


def roles_page(table: Mapping[str, Access] = ACCESS) -> str:
    """Return `docs/roles.md`."""
    lines = [
        "# Roles",
        "",
        "Generated from `rpc/access.py` and `domain/identity.py`; a test keeps it current.",
        "",
        "| role | what it may do |",
        "| --- | --- |",
        *(f"| `{role.value}` | {role.meaning} |" for role in Role),
        "",
        "A grant names one project, or `*` for every project and the deployment itself. Every other project is",
        "PERMISSION_DENIED, whether it exists or not; `projects/-` needs the role deployment-wide. Each resource name",
        "anywhere in a request is checked like the one in the field below. Health checks need no credential, nor does",
        "reflection where it is switched on: they show the contract and no data.",
        "",
        "| RPC | role | where | field |",
        "| --- | --- | --- | --- |",
    ]
    for method, access in table.items():
        field = f"`{access.field}`" if access.field else ""
        shown = method.removeprefix("/trimtab.v1.").replace("/", ".")
        lines.append(f"| `{shown}` | `{access.role.value}` | {access.scope.value} | {field} |")
    return "\n".join(lines) + "\n"
