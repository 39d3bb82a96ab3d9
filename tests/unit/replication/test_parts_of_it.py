"""Bandwidth, checksums and stamps: each by itself."""

import random
import zlib
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.replications import START
from trimtab_service.clouds.encoded_words import decoded, encoded
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.checksums import NO_CHECKSUMS, Checksums, Tally, base64_of, hex_of
from trimtab_service.replication.ports import Attributes, Head
from trimtab_service.replication.stamps import STAMP, Stamp, stamp_of, stamped, unstamped


class Waiting:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Pass them."""
        self.now += seconds


@given(sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=50))
def test_no_more_than_the_bandwidth_passes(sizes: list[int]) -> None:
    """Over any run of pieces: the time taken is at least their bytes over the rate, less what was saved up."""
    time = Waiting()
    bandwidth = Bandwidth(1_000, time.monotonic, time.wait)
    for size in sizes:
        bandwidth.take(size)
    assert time.now >= sum(sizes) / 1_000 - 0.25 - 1e-9
    assert time.now <= sum(sizes) / 1_000 + 1e-9


def test_without_a_limit_nobody_waits() -> None:
    """Nor is a deadline longer for it."""
    time = Waiting()
    bandwidth = Bandwidth(None, time.monotonic, time.wait)
    bandwidth.take(10**12)
    assert (time.now, bandwidth.time_for(10**12)) == (0.0, 0.0)


def test_checksums_gone_on_with_are_those_of_all_bytes() -> None:
    """What was counted and kept, and then the rest, in another process."""
    data = random.Random(2).randbytes(10_000)
    first = Tally(None, NO_CHECKSUMS)
    first.add(data[:7_000])
    second = Tally(None, NO_CHECKSUMS, first.counted)
    second.add(data[7_000:])
    assert second.checksums() == Checksums(crc32=f"{zlib.crc32(data):08x}")


def test_checksums_agree_by_the_strongest_in_common() -> None:
    """None in common: it is not known, which is neither yes nor no."""
    assert Checksums(md5="a", crc32="1").agrees_with(Checksums(md5="a", crc32="2")) is True
    assert Checksums(md5="a").agrees_with(Checksums(md5="b")) is False
    assert Checksums(md5="a").agrees_with(Checksums(crc32="b")) is None
    assert Checksums(md5="a", crc32="1").faults(Checksums(md5="a", crc32="2")) == ("crc32",)


@given(data=st.binary(max_size=32))
def test_checksums_are_written_as_clouds_write_them(data: bytes) -> None:
    """Base64 there and back."""
    assert hex_of(base64_of(data.hex())) == data.hex()


@pytest.mark.parametrize("told", ["", "no base64!", "abc=-3"])
def test_what_is_no_checksum_is_none(told: str) -> None:
    """Such as the checksum of checksums that S3 has of some objects in parts."""
    assert hex_of(told) == ""


@example(origin="*", version="-", size=0, micros=0)
@given(
    origin=st.text(max_size=60),
    version=st.text(max_size=40),
    size=st.integers(0, 2**63),
    micros=st.integers(0, 10**15),
)
def test_a_stamp_is_read_as_it_was_written(origin: str, version: str, size: int, micros: int) -> None:
    """Whatever buckets and versions are called; in ASCII without spaces at the ends."""
    stamp = Stamp(
        origin.encode("utf-8", "replace").decode(),
        version.encode("utf-8", "replace").decode(),
        START + timedelta(microseconds=micros),
        size,
    )
    text = stamp.text()
    assert text.isascii()
    assert text == text.strip()
    attributes = stamped(Attributes(metadata=MappingProxyType({"own": "1"})), stamp)
    assert stamp_of(Head("k", size, "v", START, attributes=attributes)) == stamp
    assert dict(unstamped(attributes).metadata) == {"own": "1"}


@pytest.mark.parametrize("told", ["", "1 a b", "2 s3://b v 2026-11-23T12:00:00+00:00 1 ", "1 s3://b v yesterday 1 "])
def test_what_is_no_stamp_is_none(told: str) -> None:
    """Of another form, cut short, or written by hand."""
    attributes = Attributes(metadata=MappingProxyType({STAMP: told}))
    assert stamp_of(Head("k", 1, "v", START, attributes=attributes)) is None


@given(value=st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200))
def test_metadata_survives_headers(value: str) -> None:
    """Any text, but for spaces at its ends, which headers do not keep."""
    told = encoded({"k": value})
    assert told["k"].isascii()
    assert dict(decoded(told)) == {"k": value}
