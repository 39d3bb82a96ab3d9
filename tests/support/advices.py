"""Advice messages as a server may answer them."""

from google.protobuf.json_format import ParseDict

from trimtab.v1.rightsizing_service_pb2 import RightsizingAdvice


def usd(amount: float) -> dict[str, object]:
    """Money in the contract's JSON."""
    units = int(amount)
    return {"currencyCode": "USD", "units": units, "nanos": round((amount - units) * 1e9)}


def option(rank: int, instance_type: str, monthly: float, vcpus: float) -> dict[str, object]:
    """An option of so many vCPUs, against four now that cost 140.16 a month."""
    test = {
        "exceedance": 0.004,
        "exceedanceLow": 0.001,
        "exceedanceHigh": 0.009,
        "confidenceLevel": 0.95,
        "slack": 0.61,
        "windows": 7,
        "windowsExceeded": 2,
        "ruleExceedance": 0.006,
        "ruleSlack": 0.55,
    }
    return {
        "rank": rank,
        "action": "ACTION_RESIZE" if rank else "ACTION_KEEP",
        "cloud": "CLOUD_AWS",
        "region": "us-east-1",
        "instanceType": instance_type,
        "count": 1,
        "capacity": {"vcpus": vcpus, "memoryGib": 4 * vcpus},
        "pricePerHour": usd(monthly / 730),
        "priceBasis": "PRICE_BASIS_LIST",
        "monthlyCost": usd(monthly),
        "monthlyNetCost": usd(monthly),
        "monthlySaving": usd(140.16 - monthly),
        "monthlyNetSaving": usd(140.16 - monthly),
        "dimensions": [
            {
                "dimension": "DIMENSION_CPU",
                "capacity": vcpus,
                "demand": 1.2,
                "unit": "vCPU",
                "meanUtilization": 0.3,
                "p95Utilization": 0.5,
                "maxUtilization": 0.9,
                "risk": 0.4,
                "backTest": test,
            },
            {"dimension": "DIMENSION_MEMORY", "capacity": 4 * vcpus, "unit": "GiB", "assumed": True},
        ],
        "risk": 0.4,
        "bindingDimension": "DIMENSION_CPU",
        "migrationEffort": "MIGRATION_EFFORT_VERY_LOW",
        "restartNeeded": True,
        "rollbackPossible": True,
        "reasons": ["CPU_OVER_PROVISIONED"],
        "backTest": test,
    }


def over_provisioned() -> RightsizingAdvice:
    """Half of the vCPUs would do."""
    return ParseDict(
        {
            "finding": "FINDING_OVER_PROVISIONED",
            "reasons": ["CPU_OVER_PROVISIONED", "MEMORY_NOT_MEASURED"],
            "resource": {
                "resourceId": "i-0abc",
                "kind": "KIND_INSTANCE",
                "cloud": "CLOUD_AWS",
                "region": "us-east-1",
                "instanceType": "m5.xlarge",
                "count": 1,
            },
            "current": option(0, "m5.xlarge", 140.16, 4.0),
            "options": [option(1, "m5.large", 70.08, 2.0), option(2, "m5a.large", 62.78, 2.0)],
            "telemetry": {
                "startTime": "2026-11-09T00:00:00Z",
                "endTime": "2026-11-23T00:00:00Z",
                "series": [
                    {
                        "metric": "METRIC_CPU",
                        "points": 4032,
                        "usedPoints": 4030,
                        "step": "300s",
                        "gapFraction": 0.0005,
                        "notes": ["DUPLICATE_POINTS"],
                    }
                ],
            },
            "preferences": [
                {"field": "rightsizing.profile", "value": "balanced", "source": "default"},
                {"field": "rightsizing.max_risk", "value": "1", "source": "policies/careful"},
            ],
            "confidence": 0.93,
            "catalogVersion": "0123456789abcdef",
            "asOf": "2026-11-23T00:00:00Z",
            "recommendation": "",
            "rejections": [{"reason": "TOO_SMALL", "count": 31}],
            "hoursPerMonth": 730,
        },
        RightsizingAdvice(),
    )


def without_advice(finding: str, missing: str) -> RightsizingAdvice:
    """Nothing is known: `finding` says why."""
    return ParseDict(
        {
            "finding": f"FINDING_{finding}",
            "resource": {"resourceId": "i-0abc", "cloud": "CLOUD_AWS", "region": "us-east-1"},
            "missing": [missing],
        },
        RightsizingAdvice(),
    )
