"""Print the versions installed in this environment as pip constraints.

Names and versions only: no addresses, hosts, hashes or paths, so that the file serves behind any
mirror. The project itself and the tools that come with every venv by themselves are left out.
"""

import importlib.metadata
import re
import sys

HEADER = """\
# Versions of everything, run time and development, that `make setup` installs.
# Written by `make constraints` from an environment that passed the suite. Do not edit.
"""
OWN = {"trimtab"}


def main() -> None:
    """Write the constraints to stdout, sorted by normalised name."""
    pinned = {
        re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower(): found.version
        for found in importlib.metadata.distributions()
    }
    lines = [f"{name}=={version}\n" for name, version in sorted(pinned.items()) if name not in OWN]
    sys.stdout.write(HEADER + "".join(lines))


if __name__ == "__main__":
    main()
