"""What a request itself says beside its policies, for the whole of what holds for it."""

from typing import Final

from trimtab_service.domain.policy import EffectivePolicy, RuleSource
from trimtab_service.domain.workloads import Workload
from trimtab_service.policy import wording

REQUEST: Final = "request"
DEFAULT: Final = "default"


def rules_with_request(
    effective: EffectivePolicy, workload: Workload, *, options_given: bool
) -> tuple[RuleSource, ...]:
    """The policies' values with those of the request, which narrow guardrails and come before preferences.

    `options_given`: whether the request names purchase options, or has the default ones.
    """
    sources: list[RuleSource] = []
    if workload.residency is not None:
        sources.extend(wording.residency_sources(workload.residency, REQUEST))
    options = wording.names(option.value for option in workload.options)
    sources.append(RuleSource("purchase_options", options, REQUEST if options_given else DEFAULT))
    most = workload.interruption.max_expected_interruptions
    if most is not None:
        sources.append(RuleSource("max_expected_interruptions", wording.number(most), REQUEST))
    asked = {"tolerance_fraction": workload.tolerance_fraction or None, "minimum_gain_fraction": None}
    if workload.current is not None:
        asked["minimum_gain_fraction"] = workload.current.minimum_gain_fraction or None
    decided = {rule.field for rule in effective.sources}
    for field, value in asked.items():
        if value is not None:
            sources.append(RuleSource(field, wording.number(value), REQUEST))
        elif field not in decided:
            sources.append(RuleSource(field, "0", DEFAULT))
    overruled = {field for field, value in asked.items() if value is not None}
    return (*(rule for rule in effective.sources if rule.field not in overruled), *sources)
