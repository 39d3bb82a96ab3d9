"""Go on only when probes succeed."""

from dataclasses import dataclass

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.failover import RunHealthCheck
from trimtab_service.failover.reach import DrillReach, ProductionReach
from trimtab_service.failover.steps.call import Call, Effect


@dataclass(frozen=True, slots=True)
class RunHealthCheckStep:
    """All probes, so many times in a row; a probe that does not answer has not succeeded."""

    action: RunHealthCheck

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Probe."""
        return self.rehearse(call, reach.harmless)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """The same."""
        probes = [(name, reach.probe(name)) for name in self.action.probes]
        wanted = max(1, self.action.successes)
        row = 0
        while True:
            call.hold.check()
            failed = []
            for name, probe in probes:
                try:
                    if not probe.check(call.deadline):
                        failed.append(name)
                except UnavailableError:
                    failed.append(name)
            row = 0 if failed else row + 1
            if row >= wanted:
                return Effect(f"{len(probes)} probes succeeded {wanted} times in a row")
            call.next_look()

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Nothing was done."""
        return self.undo_rehearsal(call, reach.harmless)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """Nothing was done."""
        del call, reach
        return Effect("nothing was changed")
