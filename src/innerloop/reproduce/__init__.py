"""What the papers show, each by one command."""

import difflib
import importlib
import pkgutil

from ..errors import UnknownNameError
from ._base import Reproduction as Reproduction, ReproductionOptions as ReproductionOptions


def reproductions() -> dict[str, Reproduction]:
    """All that can be reproduced by name: what the modules of this package have."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = (importlib.import_module(f".{name}", __name__) for name in modules)
    return {each.name: each for module in found for each in getattr(module, "REPRODUCTIONS", ())}


def find_reproduction(name: str) -> Reproduction:
    """The reproduction of that name.

    Raises:
        UnknownNameError: There is none; the message has the nearest name.
    """
    known = reproductions()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    raise UnknownNameError(f"There is no figure '{name}'.{meant} There are {', '.join(known)}.")
