"""Two listings side by side: every key is told once, in little memory, wherever it is gone on from."""

from collections.abc import Callable
from datetime import UTC, datetime

from trimtab_service.replication.alignment import MOST_TOGETHER, START, Position, align
from trimtab_service.replication.ports import Head, Listed

AT = datetime(2026, 11, 23, tzinfo=UTC)


def listing(keys: list[str], size: int) -> Callable[[str], Listed]:
    """Pages of so many keys; a token is the place of its page."""

    def page(token: str) -> Listed:
        at = int(token or 0)
        heads = tuple(Head(key, 1, "1", AT) for key in keys[at : at + size])
        return Listed(heads, str(at + size) if at + size < len(keys) else "")

    return page


def told(source: list[str], destination: list[str], start: Position = START) -> list[tuple[str, bool, bool]]:
    """Keys in the order in which they are told, and which sides have them."""
    stretches = align(listing(source, 7), listing(destination, 1_000), start)
    pairs = [pair for stretch in stretches for pair in stretch.pairs]
    return [(pair.key, pair.source is not None, pair.destination is not None) for pair in pairs]


LEFT_OVER = [f"m/{number:05}" for number in range(3 * MOST_TOGETHER + 10)]
SOURCE = [*(f"a/{number}" for number in range(9)), "z"]
DESTINATION = ["a/3", *LEFT_OVER, "z", "zz"]


def test_what_is_left_over_between_two_keys_is_told_in_pieces() -> None:
    """A source that lost ten million objects does not take a process's memory with it."""
    stretches = list(align(listing(SOURCE, 7), listing(DESTINATION, 1_000), START))
    assert max(len(stretch.pairs) for stretch in stretches) <= MOST_TOGETHER
    wanted = [(key, key in SOURCE, key in DESTINATION) for key in sorted({*SOURCE, *DESTINATION})]
    assert told(SOURCE, DESTINATION) == wanted
    before = 0
    for stretch in stretches:
        before += len(stretch.pairs)
        if stretch.then is not None:
            assert told(SOURCE, DESTINATION, stretch.then) == wanted[before:]
    assert before == len(wanted)


def test_a_source_that_lists_in_another_order_is_told_whole_after_a_restart() -> None:
    """A key may be told twice then, and none is left out."""
    source = ["b", "a", "z", "d"]
    stretches = list(align(listing(source, 4), listing(LEFT_OVER, 1_000), START))
    for stretch in stretches[:-1]:
        assert stretch.then is not None
        again = [key for key, here, _ in told(source, LEFT_OVER, stretch.then) if here]
        assert again[-2:] == ["z", "d"]
