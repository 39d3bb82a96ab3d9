"""Two listings side by side, key by key, in memory of some pages, and where to go on after a restart.

Stores list in the order of UTF-8. Where one does not (for some keys), an object may be told as missing on one side and
as left over on the other: who acts on that asks the store about the key first, so nothing but a call is lost.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import dropwhile
from typing import Final

from trimtab_service.replication.ports import Head, Listed

MOST_TOGETHER: Final = 1_000
"""After so many pairs of a stretch, what is left over begins another one."""

Page = Callable[[str], Listed]
"""A page of a listing by its token."""


@dataclass(frozen=True, slots=True)
class Position:
    """What was read: tokens of the pages that come next, and the last key that was told.

    `is_within`: of the page of the source, what comes before that key was told.
    """

    source_token: str = ""
    destination_token: str = ""
    after: str = ""
    source_is_over: bool = False
    is_within: bool = False


START: Final = Position()


@dataclass(frozen=True, slots=True)
class Pair:
    """A key as both sides list it; None where one does not."""

    key: str
    source: Head | None
    destination: Head | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Pairs in order, and the position after them; None: there is nothing after them."""

    pairs: tuple[Pair, ...]
    then: Position | None


class _Ahead:
    """A listing that is looked into before it is taken from."""

    def __init__(self, page: Page, token: str, after: str) -> None:
        self.token = token
        """Of the page that what is left begins in."""
        self._page = page
        self._next: str | None = token
        self._after = _order(after)
        self._left: deque[Head] = deque()

    def peek(self) -> Head | None:
        while not self._left and self._next is not None:
            self.token = self._next
            listed = self._page(self._next)
            self._next = listed.next_token or None
            self._left.extend(head for head in listed.heads if _order(head.key) > self._after)
        return self._left[0] if self._left else None

    def take_before(self, key: str) -> Iterator[Head]:
        limit = _order(key)
        while (head := self.peek()) is not None and _order(head.key) < limit:
            yield self._left.popleft()

    def take(self, key: str) -> Head | None:
        head = self.peek()
        return self._left.popleft() if head is not None and head.key == key else None

    def take_page(self) -> tuple[Head, ...]:
        self.peek()
        taken = tuple(self._left)
        self._left.clear()
        return taken

    @property
    def next_token(self) -> str | None:
        """After what was taken as a page; None: there is nothing."""
        return self._next


def align(source: Page, destination: Page, start: Position) -> Iterator[Stretch]:
    """Every key of either side, from a position on.

    A stretch is a page of the source with what is left over between, or a piece of that; then the destination's rest.
    """
    ahead = _Ahead(destination, start.destination_token, start.after)
    token: str | None = None if start.source_is_over else start.source_token
    after, told = start.after, start.after if start.is_within else ""
    while token is not None:
        listed = source(token)
        pairs: list[Pair] = []
        for head in _untold(listed.heads, told):
            for extra in ahead.take_before(head.key):
                pairs.append(Pair(extra.key, None, extra))
                if len(pairs) >= MOST_TOGETHER:
                    yield Stretch(tuple(pairs), Position(token, ahead.token, extra.key, is_within=True))
                    pairs = []
            pairs.append(Pair(head.key, head, ahead.take(head.key)))
            after = head.key
        token, told = listed.next_token or None, ""
        yield Stretch(tuple(pairs), Position(token or "", ahead.token, after, source_is_over=token is None))
    while heads := ahead.take_page():
        left = ahead.next_token
        then = None if left is None else Position("", left, heads[-1].key, source_is_over=True)
        yield Stretch(tuple(Pair(head.key, None, head) for head in heads), then)


def _untold(heads: Iterable[Head], told: str) -> Iterable[Head]:
    """In whatever order they are listed: all before the first key that was not reached was told."""
    return dropwhile(lambda head: _order(head.key) <= _order(told), heads) if told else heads


def _order(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
