"""Finds what the library registers, in whatever room it is."""

import pkgutil
from importlib import import_module

import imb_det


def registered(registry, room=None):
    """All classes that the library itself registers, by name.

    Args:
        registry: A node of ``imb_det.registry``.
        room: Only those of this package of the library, such as ``"losses"``.
    """
    for module in pkgutil.walk_packages(imb_det.__path__, "imb_det."):
        import_module(module.name)
    return {
        name: cls
        for name, cls in registry.module_dict.items()
        # Tests register classes too.
        if cls.__module__.startswith("imb_det.") and room in (None, room_of(cls))
    }


def room_of(cls):
    """Name of the package of the library that a class lives in."""
    return cls.__module__.split(".")[1]


def check_all_have_cases(kind, cases, found, where):
    """Fail with what to add where a registered class has no case, or none is left."""
    missing, gone = sorted(set(found) - set(cases)), sorted(set(cases) - set(found))
    assert not missing, (
        f"the {kind} {missing} are registered, but no contract tests them: add an "
        f"entry for each to {where}"
    )
    assert not gone, f"{where} has entries for {kind} that do not exist: {gone}"
