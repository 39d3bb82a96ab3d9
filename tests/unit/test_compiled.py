"""What runs compiled is of the sources as they are now."""

import os
import re
import subprocess
import sys

from trimtab_service import compiled
from trimtab_service.compiled.__main__ import missing


def run(program: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


FORM = "import trimtab_service.rpc.plain_codec; from trimtab_service import compiled; print(compiled.form())"


def test_it_is_built_where_it_can_be() -> None:
    """A checkout with a compiler runs compiled; an edited source that was not built again fails here, by its name."""
    found = run(FORM, **{compiled.INTERPRETED: ""})
    assert found == compiled.COMPILED if not missing() else found.startswith("interpreted"), found


def test_it_can_be_switched_off() -> None:
    """The interpreted form is asked for by one variable, and says so."""
    assert run(FORM, **{compiled.INTERPRETED: "1"}) == f"interpreted: {compiled.INTERPRETED} is set"


def test_an_edited_source_has_another_name() -> None:
    """No build of another source is ever looked for."""
    for name in compiled.SOURCES:
        source = compiled.source_of(name)
        assert compiled.built_name(name, source) == compiled.built_name(name)
        assert compiled.built_name(name, source + b"\n") != compiled.built_name(name)


def test_what_a_source_includes_is_part_of_it() -> None:
    """Every included file is among the parts that the name of the built module comes from, and none stands apart."""
    for name in compiled.SOURCES:
        first, *others = compiled.parts_of(name)
        included = re.findall(r'^include "(.+)"$', first.read_text("utf-8"), re.MULTILINE)
        assert sorted(included) == [part.name for part in others]
        assert all(part.read_bytes() in compiled.source_of(name) for part in (first, *others))
