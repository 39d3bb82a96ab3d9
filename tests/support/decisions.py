"""A decision as a server would answer it, for tests of what reads decisions."""

from google.protobuf.json_format import ParseDict

from trimtab.v1.placement_service_pb2 import Decision


def placed() -> Decision:
    """V100 on spot in Ireland: two terms, two fallbacks, rejections, notes, an explanation."""
    offer = {
        "cloud": "CLOUD_AWS",
        "region": "eu-west-1",
        "instanceType": "p3.2xlarge",
        "purchaseOption": "PURCHASE_OPTION_SPOT",
        "pricePerHour": _usd(0, 918_000_000),
        "priceBasis": "PRICE_BASIS_DERIVED",
        "priceAsOf": {"year": 2026, "month": 11, "day": 11},
    }
    document = {
        "name": "projects/default/decisions/01hqz3w8x9y0abcdefghjkmnpq",
        "verdict": "VERDICT_PLACED",
        "createTime": "2026-11-23T11:57:03Z",
        "validUntil": "2026-11-23T12:12:03Z",
        "chosen": {
            "offer": offer,
            "expectedCost": _usd(8, 143_700_000),
            "terms": [
                {"kind": "COST_KIND_COMPUTE", "amount": _usd(7, 344_000_000)},
                {"kind": "COST_KIND_INTERRUPTION", "amount": _usd(0, 799_700_000)},
            ],
            "billedHours": 8.87,
            "expectedInterruptions": 0.08,
            "priceAgeDays": 12,
            "risk": 2,
            "commitments": ["projects/default/commitments/ri-7"],
            "coveredInstances": 0.5,
        },
        "fallbacks": [
            {
                "offer": {**offer, "zone": "eu-west-1b"},
                "expectedCost": _usd(8, 400_000_000),
                "risk": 2,
                "differsBy": "FAILURE_DOMAIN_ZONE",
            },
            {
                "offer": {**offer, "cloud": "CLOUD_GCP", "region": "europe-west4", "instanceType": "n1-standard-8"},
                "expectedCost": _usd(18, 400_000_000),
                "risk": 3,
                "differsBy": "FAILURE_DOMAIN_CLOUD",
            },
        ],
        "rejectedRegions": [{"reason": "RESIDENCY", "count": 78}, {"reason": "NOT_OFFERED", "count": 30}],
        "revisions": {
            "catalogVersion": "sha256:abcdef0123456789",
            "policyRevision": 3,
            "learnedRevision": 14,
            "commitmentRevision": 2,
            "hoursPerMonth": 730,
            "hoursPerYear": 8760,
        },
        "notes": ["V100 was read as V100 [16 GB]"],
        "explanation": {
            "offers": 12034,
            "feasibleOffers": 14,
            "rejectedOffers": [{"reason": "GPU_MISMATCH", "count": 2020}],
            "candidates": [
                {
                    "offer": {**offer, "region": "us-east-1"},
                    "expectedCost": _usd(7, 0),
                    "reason": "RESIDENCY",
                    "wouldWin": "allow US",
                }
            ],
        },
    }
    return ParseDict(document, Decision())


def infeasible() -> Decision:
    """No place, and one change that would give one."""
    document = {
        "name": "projects/default/decisions/01hqz3w8x9y0abcdefghjkmnpr",
        "verdict": "VERDICT_INFEASIBLE",
        "relaxations": [
            {
                "field": "workload.residency",
                "change": "allow SE",
                "reason": "RESIDENCY",
                "place": {
                    "offer": {"cloud": "CLOUD_AWS", "region": "eu-north-1", "instanceType": "p3.2xlarge"},
                    "expectedCost": _usd(9, 0),
                },
            }
        ],
    }
    return ParseDict(document, Decision())


def _usd(units: int, nanos: int) -> dict[str, object]:
    return {"currencyCode": "USD", "units": units, "nanos": nanos}
