"""Several iterators at once, each in a thread of its own: items as they come."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_POLL_S: Final = 0.2
_END: Final = object()


class SideBySide(Generic[T]):
    """Iterate once: yields what all of `works` yield, in any order; raises what any of them raises, at once.

    At most `most` works run at a time, and `held` items wait to be taken. When `is_over` says so, or the consumer
    leaves, works end after the item in hand, and the iteration ends.
    """

    def __init__(
        self, works: Iterable[Callable[[], Iterable[T]]], *, most: int, held: int, is_over: Callable[[], bool]
    ) -> None:
        self._works = tuple(works)
        self._turns = threading.Semaphore(most)
        self._items: queue.Queue[T | BaseException | object] = queue.Queue(held)
        self._is_over = is_over
        self._left = threading.Event()

    def __iter__(self) -> Iterator[T]:
        for number, work in enumerate(self._works):
            threading.Thread(target=self._run, args=(work,), name=f"trimtab-side-{number}", daemon=True).start()
        running = len(self._works)
        try:
            while running and not self._is_over():
                try:
                    item = self._items.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if item is _END:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item  # type: ignore[misc] # what is neither the end nor an error is a T
        finally:
            self._left.set()

    def _run(self, work: Callable[[], Iterable[T]]) -> None:
        with self._turns:
            try:
                for item in work():
                    if not self._hand_over(item):
                        return
            except BaseException as error:  # noqa: BLE001 - raised in the consumer's thread
                self._hand_over(error)
            else:
                self._hand_over(_END)

    def _hand_over(self, item: T | BaseException | object) -> bool:
        while not (self._left.is_set() or self._is_over()):
            try:
                self._items.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False
