import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

import imb_det

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {"LICENSE", "README.md", "configs", "imb_det", "pyproject.toml"}
TOP_LEVEL |= {"CHANGELOG.md", "CONTRIBUTING.md", "tests", "tools"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this working tree, opened."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("imb_det-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def tracked_files():
    command = ["git", "-C", ROOT, "ls-files", "-z"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout")
    return [name for name in done.stdout.split("\0") if name]


def shipped_files(folder):
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_one_version_everywhere(project):
    assert project["version"] == imb_det.__version__
    assert project["version"] == importlib.metadata.version("imb-det")


def test_stacks_are_pinned_extras_and_never_hard_dependencies(project):
    extras = project["optional-dependencies"]
    for stack in ("onedl", "openmmlab"):
        names = {re.sub("^onedl-|==.*", "", pin) for pin in extras[stack]}
        assert names - {"mmdetection"} >= {"mmcv", "mmengine"}
        assert all("==" in pin for pin in extras[stack])
    assert not [name for name in project["dependencies"] if "mm" in name]


def test_nothing_unexpected_is_tracked():
    files = tracked_files()
    top = {name.partition("/")[0] for name in files}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL
    assert not [name for name in files if ".mim" in Path(name).parts]
    assert not [name for name in files if name.startswith(("data/", "work_dirs/"))]


def test_model_index_lists_every_metafile():
    index = yaml.safe_load((ROOT / "configs" / "model-index.yml").read_text())
    found = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("configs/*/*.yml")}
    assert set(index["Import"]) == found
    for name in index["Import"]:
        assert yaml.safe_load((ROOT / name).read_text())["Models"]


def test_wheel_holds_package_configs_and_tools_once(wheel):
    names = wheel.namelist()
    assert len(names) == len(set(names))
    mim = {n.removeprefix("imb_det/.mim/") for n in names if "/.mim/" in n}
    expected = shipped_files("configs") | shipped_files("tools") | {"model-index.yml"}
    assert mim == expected
    assert "imb_det/py.typed" in names
    assert any(
        re.fullmatch(r"imb_det-.*\.dist-info/licenses/LICENSE", n) for n in names
    )
    assert all(n.startswith("imb_det") for n in names)


def test_configs_of_both_packages_serve_as_base(tmp_path):
    names = {
        "imb_det": "sampling_free/retinanet_r18_fpn_sampling-free_bccd.py",
        "mmdet": "retinanet/retinanet_r50_fpn_1x_coco.py",
    }
    for package, name in names.items():
        derived = tmp_path / f"{package}.py"
        derived.write_text(f"_base_ = '{package}::{name}'\nwork_dir = 'here'\n")
        cfg = Config.fromfile(derived)
        assert cfg.model.type == "RetinaNet"
        assert cfg.work_dir == "here"


# ------------------------------------------------------------------ linters and hooks


def lint_commands():
    """What tools/run_tests.sh checks before the tests: module and arguments."""
    text = (ROOT / "tools" / "run_tests.sh").read_text()
    return [line.split() for line in re.findall(r"^check (.*)$", text, re.M)]


def commit_hooks():
    """Modules and arguments that pre-commit runs."""
    content = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repo,) = content["repos"]
    # From elsewhere they would bring versions of their own.
    assert repo["repo"] == "local"
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
        start, *command = hook["entry"].split(" -m ")
        assert start == ".venv/bin/python"
        yield command[0].split()


def test_commits_are_checked_as_the_tests_check():
    def kinds(commands):
        # `ruff check` and `ruff format` are two.
        return {(c[0], c[1] if c[0] == "ruff" else "") for c in commands}

    assert kinds(commit_hooks()) == kinds(lint_commands())


def test_every_linter_is_pinned_once(project):
    pins = dict(
        line.split("==")
        for line in project["optional-dependencies"]["dev"]
        if "==" in line
    )
    modules = {command[0] for command in lint_commands()}
    names = {m.removesuffix("_lib").replace("_", "-") for m in modules}
    assert names == set(pins)
    for name, version in pins.items():
        assert importlib.metadata.version(name) == version


def test_changelog_has_this_version(project):
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, re.M)
    assert re.search(rf"^## \[{re.escape(project['version'])}\]", text, re.M)


def test_sdist_holds_what_its_tests_read(project):
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    included = {name[1:] for name in build["build"]["targets"]["sdist"]["include"]}
    assert included >= TOP_LEVEL - {"pyproject.toml"} | {".pre-commit-config.yaml"}
    assert all((ROOT / name).exists() for name in included)
