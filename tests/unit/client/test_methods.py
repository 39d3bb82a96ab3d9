"""Every RPC of the contract has a method, and names are completed with the project."""

from collections.abc import Callable

import pytest
from google.protobuf import message_factory

import trimtab
from tests.support.canned_server import SERVICES, CannedServer
from trimtab.v1 import purchasing_service_pb2 as bought
from trimtab.v1.commitment_service_pb2 import Commitment, ImportCommitmentsResponse
from trimtab.v1.failover_service_pb2 import AdviseDrStrategyRequest, FailoverPlan, SteerFailoverRunRequest
from trimtab.v1.placement_service_pb2 import Outcome, Workload
from trimtab.v1.policy_service_pb2 import Policy
from trimtab.v1.recommendation_service_pb2 import TRANSITION_REASON_OTHER as OTHER
from trimtab.v1.rightsizing_service_pb2 import RightsizeRequest, SeriesPoints, StartFleetAnalysisRequest

CALLS: dict[str, Callable[[trimtab.Client], object]] = {
    "Place": lambda client: client.placement.place(Workload()),
    "BatchPlace": lambda client: client.placement.batch_place([Workload()]),
    "ExplainPlacement": lambda client: client.placement.explain_placement(Workload()),
    "ReportOutcome": lambda client: client.placement.report_outcome([Outcome()], decision="d"),
    "GetDecision": lambda client: client.placement.get_decision("d"),
    "ListDecisions": lambda client: list(client.placement.list_decisions()),
    "ReleaseDecision": lambda client: client.placement.release_decision("d"),
    "GetCatalog": lambda client: client.catalog.get_catalog(),
    "ListCatalogs": lambda client: list(client.catalog.list_catalogs()),
    "ListOffers": lambda client: list(client.catalog.list_offers()),
    "RefreshCatalog": lambda client: client.catalog.refresh_catalog(),
    "CreatePolicy": lambda client: client.policies.create_policy("p", Policy()),
    "GetPolicy": lambda client: client.policies.get_policy("p"),
    "ListPolicies": lambda client: list(client.policies.list_policies()),
    "UpdatePolicy": lambda client: client.policies.update_policy(Policy(name="p")),
    "DeletePolicy": lambda client: client.policies.delete_policy("p"),
    "GetEffectivePolicy": lambda client: client.policies.get_effective_policy(Workload()),
    "DryRunPolicy": lambda client: client.policies.dry_run_policy(Policy()),
    "CreateCommitment": lambda client: client.commitments.create_commitment(Commitment()),
    "ImportCommitments": lambda client: client.commitments.import_commitments([Commitment(name="c")]),
    "GetCommitment": lambda client: client.commitments.get_commitment("c"),
    "ListCommitments": lambda client: list(client.commitments.list_commitments()),
    "EndCommitment": lambda client: client.commitments.end_commitment("c"),
    "Rightsize": lambda client: client.rightsizing.rightsize(RightsizeRequest()),
    "BatchRightsize": lambda client: client.rightsizing.batch_rightsize([RightsizeRequest()]),
    "StreamRightsize": lambda client: client.rightsizing.stream_rightsize(RightsizeRequest(), [SeriesPoints()]),
    "ListTelemetrySources": lambda client: list(client.rightsizing.list_telemetry_sources()),
    "StartFleetAnalysis": lambda client: client.fleet_analyses.start_fleet_analysis(StartFleetAnalysisRequest()),
    "GetFleetAnalysis": lambda client: client.fleet_analyses.get_fleet_analysis("f"),
    "ListFleetAnalyses": lambda client: list(client.fleet_analyses.list_fleet_analyses()),
    "CancelFleetAnalysis": lambda client: client.fleet_analyses.cancel_fleet_analysis("f"),
    "WatchFleetAnalysis": lambda client: list(client.fleet_analyses.watch_fleet_analysis("f")),
    "GetRecommendation": lambda client: client.recommendations.get_recommendation("r"),
    "ListRecommendations": lambda client: list(client.recommendations.list_recommendations()),
    "WatchRecommendations": lambda client: list(client.recommendations.watch_recommendations()),
    "ClaimRecommendation": lambda client: client.recommendations.claim_recommendation("r"),
    "MarkRecommendationSucceeded": lambda client: client.recommendations.mark_recommendation_succeeded("r"),
    "MarkRecommendationFailed": lambda client: client.recommendations.mark_recommendation_failed("r", OTHER),
    "DismissRecommendation": lambda client: client.recommendations.dismiss_recommendation("r", OTHER),
    "ReopenRecommendation": lambda client: client.recommendations.reopen_recommendation("r"),
    "ApproveRecommendation": lambda client: client.recommendations.approve_recommendation("r", "etag"),
    "ApplyRecommendation": lambda client: client.recommendations.apply_recommendation("r", execute=True),
    "RollBackRecommendation": lambda client: client.recommendations.roll_back_recommendation("r", execute=True),
    "VerifyRecommendation": lambda client: client.recommendations.verify_recommendation("r", running_hours=1.0),
    "SummarizeRecommendations": lambda client: client.recommendations.summarize_recommendations(),
    "OptimizePurchasePlan": lambda client: client.purchasing.optimize_purchase_plan(
        bought.OptimizePurchasePlanRequest()
    ),
    "StreamOptimizePurchasePlan": lambda client: client.purchasing.stream_optimize_purchase_plan(
        bought.OptimizePurchasePlanRequest()
    ),
    "EvaluatePurchasePlan": lambda client: client.purchasing.evaluate_purchase_plan(
        bought.EvaluatePurchasePlanRequest()
    ),
    "StreamEvaluatePurchasePlan": lambda client: client.purchasing.stream_evaluate_purchase_plan(
        bought.EvaluatePurchasePlanRequest()
    ),
    "BacktestPurchasePolicy": lambda client: client.purchasing.backtest_purchase_policy(
        bought.BacktestPurchasePolicyRequest()
    ),
    "PlanLadder": lambda client: client.purchasing.plan_ladder(bought.PlanLadderRequest()),
    "GetShadowPrices": lambda client: client.purchasing.get_shadow_prices(bought.GetShadowPricesRequest()),
    "StreamGetShadowPrices": lambda client: client.purchasing.stream_get_shadow_prices(bought.GetShadowPricesRequest()),
    "FetchProviderRecommendation": lambda client: client.purchasing.fetch_provider_recommendation(
        bought.FetchProviderRecommendationRequest()
    ),
    "CreateFailoverPlan": lambda client: client.failover.create_failover_plan("p", FailoverPlan()),
    "GetFailoverPlan": lambda client: client.failover.get_failover_plan("p"),
    "ListFailoverPlans": lambda client: list(client.failover.list_failover_plans()),
    "UpdateFailoverPlan": lambda client: client.failover.update_failover_plan(FailoverPlan(name="p")),
    "DeleteFailoverPlan": lambda client: client.failover.delete_failover_plan("p"),
    "EvaluateFailoverPlan": lambda client: client.failover.evaluate_failover_plan("p"),
    "StartFailover": lambda client: client.failover.start_failover("p", "here", "there"),
    "GetFailoverRun": lambda client: client.failover.get_failover_run("r"),
    "ListFailoverRuns": lambda client: list(client.failover.list_failover_runs()),
    "WatchFailoverRun": lambda client: list(client.failover.watch_failover_run("r")),
    "SteerFailoverRun": lambda client: client.failover.steer_failover_run("r", SteerFailoverRunRequest.COMMAND_PAUSE),
    "DecideFailoverStep": lambda client: client.failover.decide_failover_step("r", "s", "hash", approved=True),
    "ReportHealth": lambda client: client.failover.report_health("p", "me", {"here": True}),
    "CheckServiceHealth": lambda client: client.failover.check_service_health("p"),
    "ExportFailoverEvidence": lambda client: client.failover.export_failover_evidence("r"),
    "ExportRunbook": lambda client: client.failover.export_runbook("p"),
    "AdviseDrStrategy": lambda client: client.failover.advise_dr_strategy(AdviseDrStrategyRequest()),
    "ListReplications": lambda client: list(client.replications.list_replications()),
    "GetReplication": lambda client: client.replications.get_replication("r"),
    "StartReplication": lambda client: client.replications.start_replication("r"),
    "PauseReplication": lambda client: client.replications.pause_replication("r"),
    "ReverseReplication": lambda client: client.replications.reverse_replication("r"),
    "CompareReplication": lambda client: list(client.replications.compare_replication("r")),
}


@pytest.mark.parametrize("method", [method.full_name for service in SERVICES for method in service.methods])
def test_every_rpc_has_a_method(server: CannedServer, method: str) -> None:
    """An RPC that is added to the contract fails here until the client has it; changes carry a request id."""
    descriptor = next(found for service in SERVICES for found in service.methods if found.full_name == method)
    server.answer(descriptor.name, message_factory.GetMessageClass(descriptor.output_type)())
    with trimtab.Client(server.target, project="vision") as client:
        CALLS[descriptor.name](client)
    (call,) = server.calls
    assert call.method == descriptor.name
    request = call.request
    if "request_id" in request.DESCRIPTOR.fields_by_name and descriptor.name != "Place":
        assert request.request_id
    for field in ("name", "parent"):
        named = getattr(request, field, "")
        assert not named or named.startswith(("projects/vision", "catalogs/"))


def test_given_names_and_messages_are_not_changed(server: CannedServer) -> None:
    """A full name stays as it is, and the caller's messages are left alone."""
    server.answer("UpdatePolicy", Policy())
    server.answer("ImportCommitments", ImportCommitmentsResponse())
    policy, commitment = Policy(name="policies/base"), Commitment(name="c")
    with trimtab.Client(server.target, project="vision") as client:
        client.policies.update_policy(policy)
        client.commitments.import_commitments([commitment])
    assert server.seen("UpdatePolicy")[0].request.policy.name == "policies/base"
    assert server.seen("ImportCommitments")[0].request.commitments[0].name == "projects/vision/commitments/c"
    assert (policy.name, commitment.name) == ("policies/base", "c")
