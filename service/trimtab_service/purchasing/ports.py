"""What purchasing needs of the outside: usage that callers do not send, and what a provider itself recommends."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.purchasing import Payment
from trimtab_service.domain.resources import CloudResource


@dataclass(frozen=True, slots=True)
class ProviderQuestion:
    """One product, term and payment, judged by the provider over the last `lookback`."""

    kind: CommitmentKind
    term: timedelta
    payment: Payment
    lookback: timedelta


@dataclass(frozen=True, slots=True)
class ProviderAdvice:
    """What the provider recommends, in nano-USD. No commitment: it recommends none.

    `utilisation` is the provider's estimate, `as_of` when it made the recommendation; None where it does not say.
    """

    commitment_nanos_per_hour: int
    monthly_saving_nanos: int
    utilisation: float
    upfront_nanos: int
    as_of: datetime | None


class ProviderAdvisor(Protocol):
    """The recommender of one account. Reads only.

    Raises UnavailableError (SOURCE_FAILED) when it does not answer, FailedPreconditionError when it refuses, and
    UnsupportedError for a question that it does not know. `deadline` is aware UTC.
    """

    def recommend(self, question: ProviderQuestion, deadline: datetime) -> ProviderAdvice:
        """What it says now."""
        ...


class ProviderAdvisors(Protocol):
    """Those of the deployment's accounts."""

    def advisor(self, project: str, name: str) -> ProviderAdvisor | None:
        """That of the account of this name, where the project may use it and it has one.

        Raises NotFoundError where there is no such account for the project.
        """
        ...


class RunningFleet(Protocol):
    """What runs in one configured account now.

    Usage that was stored (billed costs) would come in through a port beside this one, as rows of money by the hour.
    """

    def list(self, project: str, name: str, deadline: datetime) -> Iterator[CloudResource]:
        """Every resource, in a stable order; `deadline` is aware UTC.

        Raises NotFoundError where the project has no account of this name, UnavailableError (SOURCE_FAILED) where it
        cannot be listed whole: a part is never given as all.
        """
        ...
