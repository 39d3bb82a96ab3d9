"""Rows that were not believed: counted by file and reason, with examples to look at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trimtab_service.domain.reasons import CatalogIssue

EXAMPLES_PER_REASON = 200


@dataclass(frozen=True, slots=True)
class QuarantineCount:
    """How many rows of a file were left out for one reason; `examples` are short texts, `row 17: aws eu-west-9 ...`."""

    file: str
    issue: CatalogIssue
    rows: int
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """As the load report stores it."""
        return {"file": self.file, "issue": self.issue.name, "rows": self.rows, "examples": list(self.examples)}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "QuarantineCount":
        """Inverse of `to_json`."""
        examples = data["examples"]
        if not isinstance(examples, list):
            raise TypeError("examples is a list")
        return cls(
            str(data["file"]), CatalogIssue[str(data["issue"])], int(str(data["rows"])), tuple(map(str, examples))
        )


@dataclass(slots=True)
class Quarantine:
    """Collects rejected rows while a catalogue is loaded."""

    _rows: dict[tuple[str, CatalogIssue], int] = field(default_factory=dict)
    _examples: dict[tuple[str, CatalogIssue], list[str]] = field(default_factory=dict)

    def add(self, file: str, issue: CatalogIssue, rows: int, examples: Iterable[str]) -> None:
        """Counts `rows` rows; examples past the cap are dropped."""
        key = (file, issue)
        self._rows[key] = self._rows.get(key, 0) + rows
        kept = self._examples.setdefault(key, [])
        for example in examples:
            if len(kept) >= EXAMPLES_PER_REASON:
                break
            kept.append(example)

    def rows_of(self, file: str) -> int:
        """Rows of one file in quarantine."""
        return sum(rows for (name, _), rows in self._rows.items() if name == file)

    def counts(self) -> tuple[QuarantineCount, ...]:
        """All counts, by file and reason."""
        return tuple(
            QuarantineCount(file, issue, rows, tuple(self._examples[file, issue]))
            for (file, issue), rows in sorted(self._rows.items(), key=lambda item: (item[0][0], item[0][1].name))
        )
