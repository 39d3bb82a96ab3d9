"""SDKs are imported when they are first needed; one that is not installed says which extra brings it."""

from importlib import import_module
from types import ModuleType

from trimtab_service.domain.errors import UnsupportedError
from trimtab_service.domain.reasons import ErrorReason


def sdk(module: str, extra: str) -> ModuleType:
    """The module of an SDK. Raises UnsupportedError that names the extra when it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UnsupportedError(
            ErrorReason.UNSUPPORTED,
            f"{module} is not installed: pip install 'trimtab[service,{extra}]'",
            metadata={"module": module, "extra": extra},
        ) from error
