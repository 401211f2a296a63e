"""Which way imports point, read from the code; nothing here is imported but the tests.

``import imb_det.x`` executes ``imb_det/__init__.py`` too, which imports everything: it
is left out, and so is what only type checkers see.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "imb_det"
#: What the lowest rooms may not import, themselves or through another of them.
HEAVY = {"mmdet", "mmcv", "matplotlib"}
#: Rooms that every other may import, with the rooms that they may.
LOWEST = {"core": {"core"}, "statistics": {"core", "statistics"}}
#: Tools that are more than argument parsing; `check_env.py` runs before anything else
#: is installed.
LONG_TOOLS = {
    "check_env.py",
    "compare_runs.py",
    "run_experiment.py",
    "test.py",
    "train.py",
}


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    name_of(path): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if ".mim" not in path.parts
}


def room_of(name):
    """First package below `imb_det`, or the module that stands there."""
    return name.split(".")[1] if "." in name else name


def statements(node):
    """Import statements below a node, without those that only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        yield from statements(child)


def package_of(name):
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def source_of(name, statement):
    """Absolute name of what a `from` import takes its names from."""
    if not statement.level:
        return statement.module
    parts = package_of(name).split(".")
    parts = parts[: len(parts) - statement.level + 1]
    return ".".join([*parts, statement.module] if statement.module else parts)


@cache
def imports_of(name):
    """Modules that a module of the library imports by itself, by their full names."""
    found = set()
    for statement in statements(ast.parse(MODULES[name].read_text())):
        if isinstance(statement, ast.Import):
            targets = [alias.name for alias in statement.names]
        else:
            source = source_of(name, statement)
            inner = [f"{source}.{alias.name}" for alias in statement.names]
            targets = [source, *(each for each in inner if each in MODULES)]
        for target in targets:
            # A module is imported together with the packages it is in.
            parts = target.split(".")
            found |= {".".join(parts[: i + 1]) for i in range(len(parts))}
    return found - {"imb_det", name}


def reached_from(name):
    """Everything that comes along with a module, with the way to it."""
    ways, todo = {name: [name]}, [name]
    while todo:
        here = todo.pop()
        for target in sorted(imports_of(here)):
            if target not in ways:
                ways[target] = [*ways[here], target]
                if target in MODULES:
                    todo.append(target)
    return ways


LOW_FILES = [name for name in MODULES if room_of(name) in LOWEST]


@pytest.mark.parametrize("name", LOW_FILES)
def test_the_lowest_rooms_import_nothing_heavy(name):
    ways = reached_from(name)
    heavy = {t: " > ".join(way) for t, way in ways.items() if t in HEAVY}
    assert not heavy
    rooms = {room_of(target) for target in ways if target in MODULES}
    assert rooms <= LOWEST[room_of(name)]


def test_python_finds_the_same():
    code = (
        "import sys, types\n"
        "package = types.ModuleType('imb_det')\n"
        f"package.__path__ = [{str(PACKAGE)!r}]\n"
        "sys.modules['imb_det'] = package\n"
        f"import {', '.join(LOW_FILES)}\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = set(ast.literal_eval(done.stdout))
    assert "numpy" in found
    assert not found & HEAVY


def test_rooms_import_each_other_one_way():
    below = {room_of(name): set() for name in MODULES}
    for name in MODULES:
        targets = imports_of(name) & MODULES.keys() if name != "imb_det" else set()
        below[room_of(name)] |= {room_of(target) for target in targets}
    below = {room: targets - {room} for room, targets in below.items()}
    while done := {room for room, targets in below.items() if not targets}:
        below = {r: targets - done for r, targets in below.items() if r not in done}
    assert not below, f"these rooms import each other in a circle: {below}"


def test_nothing_imports_the_tools():
    assert not [name for name in MODULES if "tools" in imports_of(name)]


@pytest.mark.parametrize("name", MODULES)
def test_one_spelling_of_imports(name):
    own = package_of(name)
    for statement in statements(ast.parse(MODULES[name].read_text())):
        if isinstance(statement, ast.ImportFrom) and not statement.level:
            source = statement.module
            is_own = own != "imb_det" and (source + ".").startswith(own + ".")
            assert not is_own, (
                f"line {statement.lineno}: `from {source}` is the module's own folder, "
                "which is imported as `from .`; other rooms as `from imb_det.`"
            )


@pytest.mark.parametrize("path", sorted(ROOT.glob("tools/*.py")), ids=lambda p: p.name)
def test_tools_parse_arguments(path):
    if path.name in LONG_TOOLS or path.name.startswith("benchmark_"):
        return
    assert len(path.read_text().splitlines()) <= 60
