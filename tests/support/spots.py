"""The places of a message that a test can break, one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Spot:
    """One value of a message: the message that holds it, the field, the index, and its path as refusals say it."""

    holder: Any
    field: FieldDescriptor
    index: int | None
    path: str

    def put(self, value: Any) -> None:  # noqa: ANN401 - whatever the field takes
        """Replace the value."""
        if self.index is None:
            setattr(self.holder, self.field.name, value)
        else:
            getattr(self.holder, self.field.name)[self.index] = value

    @property
    def value(self) -> Any:  # noqa: ANN401 - whatever the field holds
        """The value, or message, there now."""
        held = getattr(self.holder, self.field.name)
        return held if self.index is None else held[self.index]


def spots(message: Message, above: str = "") -> Iterator[Spot]:
    """Every value and message that is set in a message, outermost first. Maps are left out."""
    for field, value in message.ListFields():
        path = f"{above}.{field.name}" if above else field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        found = (
            [Spot(message, field, index, f"{path}[{index}]") for index in range(len(value))]
            if field.is_repeated
            else [Spot(message, field, None, path)]
        )
        for spot in found:
            yield spot
            if field.message_type is not None:
                yield from spots(spot.value, spot.path)
