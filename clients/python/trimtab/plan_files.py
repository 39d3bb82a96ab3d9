"""Purchase plans in files, and their proof checked without a server: the evidence of the reply, and plain arithmetic.

    {"format": "trimtab-purchase-plan/1", "plan": {...}, "sha256": "..."}

`plan` is the reply as protobuf JSON; the hash is of it, so that a number that was changed since is noticed.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from trimtab import certificates
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab.vocabulary import amount_of

FORM: Final = "trimtab-purchase-plan/1"
CERTIFIED_GAP: Final = 1e-9
"""A relative gap at or under this is called optimal."""

_AGREE: Final = 1e-9
_CENT_FRACTION: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `faults` empty: the proof holds, and the plan is what it proves.

    `cost` is None where several flexible plans overlap: then the provider's bill is the cost, as the plan states it.
    """

    cost: float | None
    bound: float
    gap: float
    stated_gap: float
    faults: tuple[str, ...]

    @property
    def is_optimal(self) -> bool:
        """Whether nothing can be cheaper by more than one part in a thousand million."""
        return not self.faults and self.gap <= CERTIFIED_GAP


def to_text(plan: pb.PurchasePlan) -> str:
    """The file's text."""
    document = MessageToDict(plan)
    return json.dumps({"format": FORM, "plan": document, "sha256": _hash(document)}, indent=1) + "\n"


def from_text(text: str) -> tuple[pb.PurchasePlan, tuple[str, ...]]:
    """The plan of a file, and what speaks against it: a hash that is not of it. A bare plan as JSON has none.

    Raises ValueError for a text that is neither.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - one kind of refusal
    body: dict[str, Any] = document
    faults: tuple[str, ...] = ()
    if "plan" in document:
        if document.get("format") != FORM or not isinstance(document["plan"], dict):
            raise ValueError(f"expected the format {FORM}")
        body = document["plan"]
        if document.get("sha256") != _hash(body):
            faults = ("the file was changed after it was written: its hash is another",)
    plan = pb.PurchasePlan()
    try:
        ParseDict(body, plan)
    except ParseError as error:
        raise ValueError(f"no purchase plan: {error}") from None
    return plan, faults


def check(plan: pb.PurchasePlan) -> Checked:
    """Recompute cost and lower bound from the evidence, and hold the plan's figures against them.

    Raises ValueError where the plan came without evidence, or with what cannot be read.
    """
    proof = plan.certificate
    if not proof.evidence:
        raise ValueError("the plan came without the evidence of its proof; ask with a larger --max-evidence")
    try:
        document = json.loads(gzip.decompress(proof.evidence))
        problems, prices, amounts = document["problems"], document["prices"], document["amounts"]
        bound = sum(certificates.lower_bound(one, given) for one, given in zip(problems, prices, strict=True))
        several = any(len(problem["rates"]) > 1 for problem in problems)
        cost = None
        if not several:
            cost = sum(certificates.cost(one, given) for one, given in zip(problems, amounts, strict=True))
    except (OSError, EOFError, KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"the evidence cannot be read: {error}") from None
    stated = float(amount_of(proof.cost))
    whole = cost if cost is not None else stated
    gap = max(whole - bound, 0.0) / whole if whole > 0.0 else 0.0
    faults = [*_figures(plan, cost, bound, gap), *_bought(plan, document)]
    return Checked(cost, bound, gap, proof.gap, tuple(faults))


def _figures(plan: pb.PurchasePlan, cost: float | None, bound: float, gap: float) -> list[str]:
    proof, faults = plan.certificate, []
    for name, given, found in (("cost", proof.cost, cost), ("lower bound", proof.lower_bound, bound)):
        if found is not None and not _close(float(amount_of(given)), found):
            faults.append(f"the {name} is {found:.6f}, and the plan says {amount_of(given):.6f}")
    if abs(gap - proof.gap) > _AGREE:
        faults.append(f"the gap is {gap:.3e}, and the plan says {proof.gap:.3e}")
    optimal = proof.ending == pb.OptimalityCertificate.ENDING_OPTIMAL and not proof.is_relaxation
    if optimal and gap > CERTIFIED_GAP:
        faults.append(f"it is called optimal with a gap of {gap:.3e}")
    billed = float(amount_of(proof.billed_cost))
    if billed and billed < bound * (1.0 - _AGREE):
        faults.append(f"the bill of {billed:.6f} is below what no plan can cost")
    return faults


def _bought(plan: pb.PurchasePlan, document: Mapping[str, Any]) -> list[str]:
    """Whether what is to be bought is what was proved, rounded down to what is sold."""
    told = {
        (one.offer.offer_id, one.purchase_time.seconds): amount_of(one.commitment_per_hour) for one in plan.purchases
    }
    faults = []
    for columns, amounts in zip(document["bought"], document["amounts"], strict=True):
        for column, amount in zip(columns, amounts, strict=True):
            exact, step = float(amount) * float(column["unit"]), float(column["step"])
            given = float(told.pop((column["offer"], column["time"]), Decimal(0)))
            if not -_CENT_FRACTION <= exact - given <= step + _CENT_FRACTION:
                faults.append(f"{column['offer']}: {exact:.5f} an hour was proved, and {given:.5f} is to be bought")
    faults += [f"{offer}: it is to be bought, and nothing of it was proved" for offer, _ in told]
    return faults


def _close(given: float, found: float) -> bool:
    return abs(given - found) <= _AGREE * max(abs(found), 1.0)


def _hash(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
