"""The failover service: plans, runs, health and advice, each answered by an object of its own."""

from trimtab_service.rpc.failover_advice import FailoverAdvice
from trimtab_service.rpc.failover_health import FailoverHealth
from trimtab_service.rpc.failover_plans import FailoverPlans
from trimtab_service.rpc.failover_runs import FailoverRuns


class FailoverServicer:
    """Hands every method on as it is."""

    def __init__(
        self, plans: FailoverPlans, runs: FailoverRuns, health: FailoverHealth, advice: FailoverAdvice
    ) -> None:
        self.create_failover_plan = plans.create_failover_plan
        self.get_failover_plan = plans.get_failover_plan
        self.list_failover_plans = plans.list_failover_plans
        self.update_failover_plan = plans.update_failover_plan
        self.delete_failover_plan = plans.delete_failover_plan
        self.evaluate_failover_plan = plans.evaluate_failover_plan
        self.export_runbook = plans.export_runbook
        self.start_failover = runs.start_failover
        self.get_failover_run = runs.get_failover_run
        self.list_failover_runs = runs.list_failover_runs
        self.watch_failover_run = runs.watch_failover_run
        self.steer_failover_run = runs.steer_failover_run
        self.decide_failover_step = runs.decide_failover_step
        self.export_failover_evidence = runs.export_failover_evidence
        self.report_health = health.report_health
        self.check_service_health = health.check_service_health
        self.advise_dr_strategy = advice.advise_dr_strategy
