"""What the parts of a run cost, one place and one rate at a time."""

from math import ceil

from tests.support.brute_rules import Rules
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import CLOUDS, PurchaseOption
from trimtab_service.domain.workloads import Workload
from trimtab_service.placement.interruptions import SpotOutlook, outlook, risk_class


class Costs:
    """Of one workload."""

    def __init__(self, snapshot: CatalogSnapshot, work: Workload, rules: Rules) -> None:
        self.snapshot, self.work, self.rules = snapshot, work, rules
        self.outlooks: dict[float, tuple[SpotOutlook, int, float]] = {}

    def hours_paid(self, option: PurchaseOption) -> float:
        """Of each instance, by how it is bought."""
        years = {PurchaseOption.RESERVED_1Y: 1, PurchaseOption.RESERVED_3Y: 3}.get(option)
        if years is None:
            return self.work.hours
        if self.work.is_service:
            return self.work.hours_per_month
        term = years * self.work.hours_per_year
        return max(ceil(self.work.hours / term), 1) * term

    def outlook(self, rate: float) -> tuple[SpotOutlook, int, float]:
        """What interruptions do to the run; the rate's class of risk; thousands of instance hours beside the work."""
        known = self.outlooks.get(rate)
        if known is None:
            work = self.work
            seen = outlook(
                work.hours, 1 / rate if rate else None, work.interruption, work.count, is_service=work.is_service
            )
            known = (seen, risk_class(rate), (seen.billed_hours - work.hours) * work.count / 1000.0)
            self.outlooks[rate] = known
        return known

    def checkpoints(self, r: int, interruptions: float) -> int:
        """Micros for keeping checkpoints and for reading them after interruptions."""
        tolerance = self.work.interruption
        total = 0
        if tolerance.checkpoint_write_hours is not None:
            months = 1.0 if self.work.is_service else self.work.hours / self.work.hours_per_month
            total += round(tolerance.checkpoint_gib * tolerance.checkpoint_nanos_per_gib_month * months / 1000.0)
        if tolerance.checkpoint_store is not None:
            store = tolerance.checkpoint_store
            source = self.snapshot.region_index[store.cloud, store.region]
            rate = int(self.snapshot.egress.pair_nanos[source, r])
            total += round(interruptions * tolerance.checkpoint_gib * rate / 1000.0)
        return total

    def place_costs(self, r: int) -> tuple[int, int, int]:
        """Egress, preference, and moving the state, of any offer of a region."""
        region, work = self.snapshot.regions[r], self.work
        used: dict[int, float] = {}
        month: dict[int, float] = {}
        for key, gib in work.month_to_date_egress:
            source = self.snapshot.region_index.get((key.cloud, key.region))
            if source is not None:
                month[source] = month.get(source, 0.0) + gib
        reads = [
            (d.location, d.gib * d.reads, d.private_nanos_per_gib, d.private_clouds or CLOUDS) for d in work.data_sets
        ]
        if work.current is not None:
            reads.append((work.current.location, work.current.state_gib, None, ()))
        costs = []
        for location, gib, private, reached in reads:
            source = self.snapshot.region_index[location.cloud, location.region]
            is_private = private is not None and region.cloud in reached
            if source == r:
                costs.append(0)
            elif is_private:
                costs.append(round((private or 0) * (gib / 1000.0)))
            elif location.cloud is region.cloud:
                costs.append(round(int(self.snapshot.egress.pair_nanos[source, r]) * (gib / 1000.0)))
            else:
                geography = int(self.snapshot.egress.region_geography[r])
                start = month.get(source, 0.0) + used.get(source, 0.0)
                costs.append(self.internet(source, geography, start, gib))
            if not is_private:
                used[source] = used.get(source, 0.0) + gib
        moved = costs.pop() if work.current is not None else 0
        egress = sum(costs)
        if work.users is not None and work.users.egress_gib > 0:
            egress += self.internet(r, 0, month.get(r, 0.0), work.users.egress_gib)
        preference = sum(
            n.preference_micros
            for n in work.services
            if n.preference_micros and not self.rules.has_service(r, n.service)
        )
        return egress, preference, moved

    def internet(self, source: int, geography: int, start: float, gib: float) -> int:
        """Micros for `gib` out of a place that has sent `start` GiB this month."""
        columns = self.snapshot.egress
        tiers = [
            (float(f), int(n))
            for f, n in zip(
                columns.internet_tier_from_gib[source, geography].tolist(),
                columns.internet_tier_nanos[source, geography].tolist(),
                strict=True,
            )
            if f != float("inf")
        ]
        end = start + gib
        parts: list[int] = []
        for i, (lower, rate) in enumerate(tiers):
            upper = tiers[i + 1][0] if i + 1 < len(tiers) else float("inf")
            if lower <= start < upper and end <= upper:
                return round(rate * (gib / 1000.0))
            overlap = min(end, upper) - max(start, lower)
            if overlap > 0:
                parts.append(round(rate * (overlap / 1000.0)))
        return sum(parts)
