"""Replications in tests: two buckets and a journal in memory that can be made to fail, and one pass at a time."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from trimtab_service.clouds.simulated.objects import SimulatedBucket
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.copying import Around
from trimtab_service.replication.definition import Deletes, Replication
from trimtab_service.replication.journal import Held, LeaseLostError, Standing
from trimtab_service.replication.passing import Pass
from trimtab_service.replication.ports import ObjectStore
from trimtab_service.replication.progress import UNBEGUN, KeptUpload, Progress

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROJECTS = frozenset({"*"})


class Ticking:
    """A clock that goes on a millisecond with every look, so that no two writes are at once."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        self.now += timedelta(milliseconds=1)
        return self.now


class RememberedJournal:
    """Implements `replication.journal.ReplicationJournal` for one replication, with the comparison of the token."""

    def __init__(self) -> None:
        self.token = 1
        self.progress = UNBEGUN
        self.saved: list[Progress] = []
        self.kept: dict[str, KeptUpload] = {}
        self.on_keep: Callable[[KeptUpload], None] = lambda _: None

    def held(self, name: str) -> Held:
        """Taken with the present token."""
        return Held(name, self.token, is_reversed=False, progress=self.progress)

    def standing(self, name: str) -> Standing:
        """As the port says."""
        return Standing(name, token=self.token, progress=self.progress)

    def claim(self, definitions: Mapping[str, str], owner: str, lease: timedelta) -> Held | None:
        """As the port says."""
        raise NotImplementedError

    def renew(self, held: Sequence[Held], lease: timedelta) -> frozenset[str]:
        """As the port says."""
        raise NotImplementedError

    def save(self, held: Held, progress: Progress) -> None:
        """As the port says."""
        self._check(held)
        self.progress = progress
        self.saved.append(progress)

    def finish(self, held: Held, progress: Progress, again: timedelta) -> None:
        """As the port says."""
        self.save(held, progress)

    def release(self, held: Held) -> None:
        """Nothing is leased here."""

    def upload(self, name: str, key: str) -> KeptUpload | None:
        """As the port says."""
        return self.kept.get(key)

    def keep_upload(self, held: Held, key: str, upload: KeptUpload) -> None:
        """As the port says."""
        self._check(held)
        self.kept[key] = upload
        self.on_keep(upload)

    def drop_uploads(self, held: Held, keys: Iterable[str]) -> None:
        """As the port says."""
        self._check(held)
        for key in keys:
            self.kept.pop(key, None)

    def uploads(self, name: str) -> Mapping[str, KeptUpload]:
        """As the port says."""
        return dict(self.kept)

    def _check(self, held: Held) -> None:
        if held.token != self.token:
            raise LeaseLostError


class Meddled:
    """A store before which something happens: `before(method, arguments)` may raise, or change the world."""

    def __init__(self, store: ObjectStore, before: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._store = store
        self._before = before

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:  # noqa: ANN401
            self._before(name, arguments)
            return found(*arguments)

        return call


@dataclass
class TwoBuckets:
    """A replication from `here` to `there`, run pass by pass."""

    clock: Ticking = field(default_factory=Ticking)
    page_size: int = 4
    deletes: Deletes = Deletes.KEEP
    part_size: int = 1_000
    concurrency: int = 3
    prefix: str = ""

    def __post_init__(self) -> None:
        self.here = SimulatedBucket("here", self.clock, page_size=self.page_size)
        self.there = SimulatedBucket("there", self.clock, page_size=self.page_size)
        self.journal = RememberedJournal()
        self.source: ObjectStore = self.here
        self.destination: ObjectStore = self.there
        self.check: Callable[[], None] = lambda: None

    @property
    def definition(self) -> Replication:
        """As it is configured."""
        return Replication(
            name="copy",
            projects=PROJECTS,
            source=self.here.uri,
            destination=self.there.uri,
            prefix=self.prefix,
            deletes=self.deletes,
            part_size=self.part_size,
            concurrency=self.concurrency,
        )

    def around(self) -> Around:
        """What a pass works with now."""
        return Around(
            source=self.source,
            destination=self.destination,
            journal=self.journal,
            held=self.journal.held("copy"),
            bandwidth=Bandwidth(None, lambda: 0.0, lambda _: None),
            part_size=self.part_size,
            crc32c=lambda crc, data: zlib.crc32(data, crc) ^ 0xFFFF,
            check=self.check,
            clock=self.clock,
            call_time=timedelta(seconds=60),
        )

    def run(self) -> Progress:
        """One pass, from what was kept last."""
        over = Pass(self.definition, self.around(), self.journal.progress).run()
        self.journal.progress = over
        return over

    def turn(self) -> None:
        """Copy the other way from now on."""
        self.source, self.destination = self.destination, self.source
        self.journal.progress = UNBEGUN
        self.journal.token += 1

    def forget(self) -> None:
        """As after a start from nothing."""
        self.journal.progress = replace(UNBEGUN)

    def user_keys(self, bucket: SimulatedBucket) -> list[str]:
        """Keys without what is ours."""
        return [key for key in bucket.keys if not key.startswith(self.definition.reserved)]


def unavailable(text: str = "the store does not answer") -> UnavailableError:
    """What a store raises that cannot be asked."""
    return UnavailableError(ErrorReason.SOURCE_FAILED, text)
