"""Offers that reported capacity failures keep out of decisions, until they decay.

A failure blocks its offer for 5 minutes, doubled for each failure in a row up to 4 hours, counted from when it
happened. A row ends with a success, or when 4 hours pass after the block without another failure. A report
without a zone blocks the offer in the whole region; one with a zone blocks it in that zone only. A success ends
the block of its zone, and that of the region: there was capacity in it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.placement.shards import ShardedMap

FIRST_BLOCK: Final = timedelta(minutes=5)
LONGEST_BLOCK: Final = timedelta(hours=4)
_DOUBLINGS: Final = 6  # 5 minutes x 2^6 is past 4 hours

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Block(NamedTuple):
    """An offer that is not to be used before `end_time`. Empty `zone`: nowhere in the region."""

    end_time: datetime
    cloud: Cloud
    region: str
    zone: str
    instance_type: str
    option: PurchaseOption


@dataclass(frozen=True, slots=True, eq=False)
class ActiveBlocks:
    """The blocks that hold at an instant, by end time; the same object for as long as they are the same.

    Hashed by identity: what is made from it (masks) can be kept by it. It holds from `since` to before `until`.
    """

    blocks: tuple[Block, ...]
    since: datetime
    until: datetime

    def __bool__(self) -> bool:
        return bool(self.blocks)


NO_BLOCKS: Final = ActiveBlocks((), _LONG_AGO, datetime.max.replace(tzinfo=UTC))


class _Record(NamedTuple):
    failures: int
    failed: datetime
    end_time: datetime
    succeeded: datetime


_UNKNOWN: Final = _Record(0, _LONG_AGO, _LONG_AGO, _LONG_AGO)

OfferKey = tuple[Cloud, str, str, str, PurchaseOption]
"""Cloud, region, zone (may be empty), instance type, option."""

BlockRow = tuple[str, str, str, str, str, int, str, str, str]
"""Key and record as kept in snapshots; instants in ISO 8601."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockBook:
    """What is known of each offer's capacity. Immutable: `report` answers another book.

    `_open` has the blocks that may still hold, by end time; those that ended before the latest event are left out.
    """

    _records: ShardedMap[OfferKey, _Record] = field(default_factory=ShardedMap)
    _open: tuple[Block, ...] = ()
    _latest: datetime = _LONG_AGO
    _seen: list[ActiveBlocks] = field(default_factory=list)
    """At most one: the last answer of `active`. Losing a race between threads costs making it again, no more."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be blocked, at any instant."""
        return not self._open

    def report(self, outcome: Outcome) -> "BlockBook":
        """The book with one outcome more."""
        book = self
        offer = (outcome.cloud, outcome.region, outcome.zone, outcome.instance_type, outcome.option)
        if outcome.capacity_failure:
            book = book.after_failure(offer, outcome.event_time)
        if outcome.capacity_success:
            book = book.after_success(offer, outcome.event_time)
            if outcome.zone:
                book = book.after_success((offer[0], offer[1], "", offer[3], offer[4]), outcome.event_time)
        return book

    def blocked_until(  # noqa: PLR0913, PLR0917 - the parts of an offer's name
        self, cloud: Cloud, region: str, zone: str, instance_type: str, option: PurchaseOption, instant: datetime
    ) -> datetime | None:
        """End of the block that holds for the offer in this zone (or its whole region) at `instant`, or None."""
        if not self._open:
            return None
        record = self._records.get((cloud, region, "", instance_type, option)) or _UNKNOWN
        end = record.end_time
        if zone:
            near = self._records.get((cloud, region, zone, instance_type, option)) or _UNKNOWN
            end = max(end, near.end_time)
        return end if end > instant and end > self._latest else None

    def active(self, instant: datetime) -> ActiveBlocks:
        """The blocks that hold at `instant`."""
        if not self._open:
            return NO_BLOCKS
        if self._seen:
            kept = self._seen[0]
            if kept.since <= instant < kept.until:
                return kept
        first = bisect_right(self._open, instant, key=_end_time)
        blocks = self._open[first:]
        made = ActiveBlocks(
            blocks,
            self._open[first - 1].end_time if first else NO_BLOCKS.since,
            blocks[0].end_time if blocks else NO_BLOCKS.until,
        )
        self._seen[:] = [made]
        return made

    def rows(self) -> list[BlockRow]:
        """All records, sorted: the same book has the same rows in every process."""
        return sorted(
            (*key, known.failures, known.failed.isoformat(), known.end_time.isoformat(), known.succeeded.isoformat())
            for key, known in self._records.items()
        )

    @classmethod
    def from_rows(cls, rows: Iterable[BlockRow], latest: datetime) -> "BlockBook":
        """The book that `rows` was called on."""
        records: ShardedMap[OfferKey, _Record] = ShardedMap()
        blocks: list[Block] = []
        for cloud, region, zone, instance_type, option, failures, *instants in rows:
            key = (Cloud(cloud), region, zone, instance_type, PurchaseOption(option))
            record = _Record(failures, *(datetime.fromisoformat(text) for text in instants))
            records = records.set(key, record)
            if record.end_time > latest:
                blocks.append(Block(record.end_time, *key))
        return cls(records, tuple(sorted(blocks)), latest)

    @property
    def latest(self) -> datetime:
        """When the latest event of those reported happened."""
        return self._latest

    def after_failure(self, key: OfferKey, instant: datetime) -> "BlockBook":
        """The book after no capacity was had at `instant`."""
        known = self._records.get(key) or _UNKNOWN
        if instant <= known.succeeded:
            return self  # reported late: there was capacity since
        in_row = known.failures > 0 and instant <= known.end_time + LONGEST_BLOCK
        failures = known.failures + 1 if in_row else 1
        end = instant + min(FIRST_BLOCK * 2 ** min(failures - 1, _DOUBLINGS), LONGEST_BLOCK)
        record = _Record(failures, max(instant, known.failed), max(end, known.end_time), known.succeeded)
        return self._with(key, known, record, instant)

    def after_success(self, key: OfferKey, instant: datetime) -> "BlockBook":
        """The book after capacity was had at `instant`."""
        known = self._records.get(key) or _UNKNOWN
        succeeded = max(instant, known.succeeded)
        if instant < known.failed:
            record = known._replace(succeeded=succeeded)
        else:
            record = _Record(0, known.failed, _LONG_AGO, succeeded)
        return self._with(key, known, record, instant)

    def _with(self, key: OfferKey, known: _Record, record: _Record, instant: datetime) -> "BlockBook":
        latest = max(self._latest, instant)
        blocks = self._open
        if known.end_time != record.end_time:
            blocks = _without(blocks, Block(known.end_time, *key))
            if record.end_time > latest:
                blocks = _among(blocks, Block(record.end_time, *key))
        if blocks and blocks[0].end_time <= latest:
            blocks = blocks[bisect_right(blocks, latest, key=_end_time) :]
        return BlockBook(self._records.set(key, record), blocks, latest)


def _end_time(block: Block) -> datetime:
    return block.end_time


def _without(blocks: tuple[Block, ...], gone: Block) -> tuple[Block, ...]:
    place = bisect_left(blocks, gone)
    if place < len(blocks) and blocks[place] == gone:
        return blocks[:place] + blocks[place + 1 :]
    return blocks


def _among(blocks: tuple[Block, ...], added: Block) -> tuple[Block, ...]:
    place = bisect_left(blocks, added)
    return (*blocks[:place], added, *blocks[place:])
