"""Check the environment this runs in, for ``setup_env.sh``; needs nothing but Python.

Every file of every installed package must be there, mmcv's compiled operators must
load, and mmcv and mmdet must import. The imports take seconds, so they are repeated
only when the set of installed packages differs from the one in ``--stamp``.

Exit codes: 0 all is well; 3 some packages were incomplete (an interrupted install, a
deleted file) and their metadata is removed, so that pip installs them again; 4 mmcv
has no working operators; 5 another import fails. The reason is printed in one line.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import re
import shutil
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

INCOMPLETE, NO_OPERATORS, NO_IMPORT = 3, 4, 5


def incomplete_packages(site: Path) -> list[Path]:
    """List the metadata folders of packages that miss a file."""
    return [info for info in sorted(site.glob("*.dist-info")) if _misses_file(info)]


def _misses_file(info: Path) -> bool:
    record = info / "RECORD"
    if not record.is_file() or not (info / "METADATA").is_file():
        return True
    with record.open(newline="", encoding="utf-8") as lines:
        names = [row[0] for row in csv.reader(lines) if row]
    return any(
        not (info.parent / name).exists() for name in names if name[-4:] != ".pyc"
    )


def remove_for_reinstall(site: Path, infos: list[Path]) -> None:
    """Make pip forget packages, and clear what an interrupted uninstall left."""
    for path in [*infos, *site.glob("~*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def load_operators(site: Path) -> None:
    """Load mmcv's extension module without the packages that mmcv itself imports."""
    files = sorted(site.glob("mmcv/_ext*.so"))
    if not files:
        raise ImportError("it was built without them")
    importlib.import_module("torch")
    loader = ExtensionFileLoader("mmcv._ext", str(files[0]))
    spec = ModuleSpec(loader.name, loader, origin=loader.path)
    loader.exec_module(module_from_spec(spec))


def explain_import_error(error: ImportError) -> str:
    """Say in one line what to do about a failed import."""
    library = re.match(r"(lib\S+): cannot open shared object file", str(error))
    if library is None:
        return f"{type(error).__name__}: {error}"
    return (
        f"the system library {library[1]} is missing; OpenCV needs it (on Debian and "
        "Ubuntu: apt-get install libgl1 libglib2.0-0)"
    )


def main() -> int:
    """Run the checks of the command line."""
    parser = argparse.ArgumentParser(description="Check the Python environment.")
    parser.add_argument("--operators-only", action="store_true", help="stop after them")
    parser.add_argument("--stamp", type=Path, help="file for the last good state")
    args = parser.parse_args()
    site = Path(sysconfig.get_paths()["platlib"])

    broken = incomplete_packages(site)
    if broken:
        print("incomplete:", ", ".join(info.name.split("-")[0] for info in broken))
        remove_for_reinstall(site, broken)
        return INCOMPLETE
    state = "\n".join(sorted(info.name for info in site.glob("*.dist-info")))
    if (
        args.stamp
        and args.stamp.is_file()
        and args.stamp.read_text(encoding="utf-8") == state
    ):
        return 0
    try:
        load_operators(site)
    except ImportError as error:
        print(f"mmcv has no working operators: {error}")
        return NO_OPERATORS
    if args.operators_only:
        return 0
    for name in ("cv2", "mmcv.ops", "mmdet.apis"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"{name} cannot be imported: {explain_import_error(error)}")
            return NO_IMPORT
    if args.stamp:
        args.stamp.write_text(state, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
