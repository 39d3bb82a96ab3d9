"""Names of decisions are ULIDs of their instant, each another."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from ulid import ULID

from trimtab_service import compiled
from trimtab_service.rpc.ids import AscendingUlids, UlidSource, new_ulid, text_of

NOW = datetime(2026, 11, 23, 12, 0, 0, 456_789, tzinfo=UTC)


def test_text_is_that_of_the_specification() -> None:
    """26 characters of Crockford's base 32, as another implementation writes them."""
    random = Random(1)
    for value in (0, 1, 2**128 - 1, *(random.getrandbits(128) for _ in range(200))):
        assert text_of(value) == str(ULID.from_bytes(value.to_bytes(16, "big"))).lower()


def test_ids_carry_their_instant_and_sort_by_it() -> None:
    """To the millisecond."""
    instants = [NOW + timedelta(milliseconds=i * 7) for i in range(1_200)]
    made = [new_ulid(instant) for instant in instants]
    assert made == sorted(made)
    for name, instant in zip(made, instants, strict=True):
        assert ULID.from_str(name.upper()).milliseconds == int(instant.timestamp() * 1_000)


def test_no_randomness_is_used_twice() -> None:
    """Ids of one instant differ, past the end of what was drawn at once."""
    assert len({new_ulid(NOW) for _ in range(5_000)}) == 5_000


def test_randomness_is_the_sources() -> None:
    """What the source gave is what follows the instant, and it is asked for many at once."""
    asked: list[int] = []

    def zeros(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    source = UlidSource(zeros)
    assert {source(NOW)[10:] for _ in range(100)} == {"0" * 16}
    assert len(asked) == 1


def test_ids_of_one_instant_ascend_and_do_not_tell_the_next() -> None:
    """Whatever the random bits are; an earlier instant begins anew, and the steps differ."""
    random = Random(2)
    ascending = AscendingUlids(UlidSource(random.randbytes))
    made = [ascending(NOW) for _ in range(2_000)]
    assert made == sorted(set(made))
    values = [ULID.from_str(name.upper()) for name in made]
    assert {value.milliseconds for value in values} == {int(NOW.timestamp() * 1_000)}
    assert len({int(b) - int(a) for a, b in pairwise(values)}) > 1_000
    assert ascending(NOW - timedelta(seconds=1)) < made[0]


def always(drawn: bytes) -> Callable[[int], bytes]:
    """A source of the same bytes."""
    return lambda _size: drawn


def test_the_compiled_source_makes_the_same_ids() -> None:
    """Of the same random bytes, in bursts of one millisecond and over carries from one end of an id to the other."""
    wire = compiled.load("wire")
    if wire is None:
        return
    for drawn in (Random(1).randbytes(5_120), b"\xff" * 5_120, bytes(5_120)):
        interpreted, built = AscendingUlids(UlidSource(always(drawn))), wire.Ulids(always(drawn))
        for number in range(1_500):
            instant = NOW + timedelta(microseconds=number // 7 * 900)
            assert built(instant) == interpreted(instant)
