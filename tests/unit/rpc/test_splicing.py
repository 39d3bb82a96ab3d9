"""A message put together from parts is the one that the runtime writes."""

from collections.abc import Callable

import pytest

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.rpc.splicing import field_bytes, spliced


@pytest.mark.parametrize("splice", [field_bytes, spliced])
@pytest.mark.parametrize("size", [0, 1, 100, 117, 118, 127, 128, 16_370, 16_383, 16_384, 300_000])
def test_lengths_of_every_width(splice: Callable[[int, bytes], bytes], size: int) -> None:
    """The length is a varint of one to three bytes, in the form that is built and in the interpreted one."""
    decision = pb.Decision(name="n" * size)
    whole = pb.BatchPlaceResponse(results=[pb.BatchPlaceResult(decision=decision)])
    assert splice(1, splice(1, decision.SerializeToString())) == whole.SerializeToString()
