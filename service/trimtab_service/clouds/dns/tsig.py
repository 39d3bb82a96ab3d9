"""Keys that sign dynamic updates, in the form that `tsig-keygen` writes."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trimtab_service.clouds.dns.observers import EXTRA
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import source_failed

_KEY: Final = re.compile(
    r'\s*key\s+"?([A-Za-z0-9._-]+)"?\s*\{\s*algorithm\s+"?(hmac-sha(?:224|256|384|512))"?\s*;'
    r'\s*secret\s+"([A-Za-z0-9+/=]+)"\s*;\s*\}\s*;\s*'
)


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A key by name. MD5 and SHA-1 are not taken."""

    name: str
    algorithm: str
    secret: str = field(repr=False)

    @property
    def ring(self) -> Any:  # noqa: ANN401 - a dns.tsig.Key; the SDK is imported late
        """As dnspython wants it."""
        return sdk("dns.tsig", EXTRA).Key(self.name, self.secret, self.algorithm)


def read_key(path: Path) -> TsigKey:
    """The one key of a file: `key "name" { algorithm hmac-sha256; secret "..."; };`.

    Raises UnavailableError (SOURCE_FAILED) where there is none; the file's text is not repeated.
    """
    try:
        found = _KEY.fullmatch(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise source_failed("the key file of the name server cannot be read") from error
    if found is None:
        raise source_failed("the key file of the name server holds no single key as tsig-keygen writes it")
    return TsigKey(*found.groups())
