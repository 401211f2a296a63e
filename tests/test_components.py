"""Registries, `__all__` and the table of configs/README.md name the same components."""

import importlib
import re
import sys

import pytest

from imb_det.registry import NODES
from tests.contracts.registered import registered, room_of

COMPONENTS = {
    name: cls for node in NODES.values() for name, cls in registered(node).items()
}


@pytest.fixture(scope="module")
def in_table(repo_root):
    """All that the first column of the table names after ``imb_det.``."""
    readme = (repo_root / "configs" / "README.md").read_text()
    _, _, section = readme.partition("\n## Components\n")
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.M)
    return {name for row in rows for name in re.findall(r"`imb_det\.([\w.]+)`", row)}


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_is_exported(name):
    cls = COMPONENTS[name]
    assert cls.__name__ == name
    room = f"imb_det.{room_of(cls)}"
    exported = getattr(importlib.import_module(room), "__all__", ())
    assert name in exported, (
        f"{name} is registered by {cls.__module__}: import it in {room}/__init__.py, "
        "and put it into `__all__`"
    )
    assert name in sys.modules[cls.__module__].__all__


def test_the_readme_names_every_component(in_table):
    missing = sorted(set(COMPONENTS) - in_table)
    assert not missing, (
        "the first column of the table under `## Components` of configs/README.md does "
        f"not name {', '.join(f'`imb_det.{name}`' for name in missing)}"
    )


def test_the_readme_names_nothing_else(in_table):
    for name in sorted(in_table - set(COMPONENTS)):
        room, _, attribute = f"imb_det.{name}".rpartition(".")
        found = hasattr(importlib.import_module(room), attribute)
        assert found, f"configs/README.md names `imb_det.{name}`, which does not exist"
