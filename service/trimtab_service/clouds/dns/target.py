"""Opening names as they are configured."""

from trimtab_service.clouds.dns.fenced_name import FencedName, Records
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import Observers
from trimtab_service.clouds.dns.rfc2136 import DynamicRecords
from trimtab_service.clouds.dns.tsig import read_key
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import ConfiguredTarget


def open_target(target: ConfiguredTarget, patience: Patience) -> FencedName:
    """A target of kind `rfc2136`. Its key is read once, now. It is observed at its primary server if at no other."""
    name, settings = switched_name(target), target.settings
    records = DynamicRecords(name, settings["server"], read_key(settings["key_file"]), patience)
    observe = settings.get("observe", (settings["server"],))
    return FencedName(name, records, Observers(observe, patience))


def switched_name(target: ConfiguredTarget) -> SwitchedName:
    """The name that a target switches."""
    return SwitchedName(target.settings["record"], target.settings["zone"], target.settings["sides"])


def fenced_name(target: ConfiguredTarget, records: Records, patience: Patience) -> FencedName:
    """The name at a provider, observed as configured."""
    return FencedName(switched_name(target), records, Observers(target.settings["observe"], patience))
