"""What the engine is asked: one resource, what is known of its use, and what holds for it."""

from dataclasses import dataclass

from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.rightsizing.preferences import EffectivePreferences
from trimtab_service.rightsizing.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class SizingCase:
    """One resource to advise on. `policy_revision` is told back in the advice.

    `missing` is what the source could not tell although the resource has it, in words: it is told back when the data
    do not suffice. `failure`: the source gave nothing at all, and why, in words that are safe to show. `own_offers` are
    what types cost the caller in the resource's region.
    """

    resource: CloudResource
    telemetry: Telemetry
    preferences: EffectivePreferences
    policy: EffectivePolicy
    policy_revision: int
    missing: tuple[str, ...] = ()
    failure: str = ""
    own_offers: tuple[OwnOffer, ...] = ()
