"""The command-line tools from outside: help, failures, shell scripts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run_tool

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
TOOLS = sorted(p.name for p in ROOT.glob("tools/[!_]*.py"))
SCRIPTS = [*sorted(ROOT.glob("tools/*.sh")), ROOT / ".ci" / "run"]
COMMANDS = ["quickstart.sh", "run_tests.sh", "setup_env.sh"]
# What the shell scripts may count on; no compiler and no Python among them.
UTILITIES = {
    *("awk", "bash", "basename", "cat", "cut", "df", "dirname", "env", "find"),
    *("flock", "grep", "head", "ln", "ls", "mkdir", "mv", "nproc", "rm", "sed"),
    *("sha256sum", "sort", "tail", "touch", "uname", "xargs"),
}


def run(command, **kwargs):
    kwargs = {"capture_output": True, "text": True, "timeout": 600, **kwargs}
    return subprocess.run(list(map(str, command)), check=False, **kwargs)


# ------------------------------------------------------------------ Python tools


@pytest.mark.parametrize("tool", TOOLS)
def test_help(tool):
    done = run_tool(tool, "-h")
    assert done.returncode == 0, done.stderr
    assert f"usage: {tool} [-h]" in done.stdout


@pytest.mark.weekly
@pytest.mark.parametrize("tool", TOOLS)
def test_help_from_nothing(tool, tmp_path):
    """Seconds of imports each, and no import that another file has made before."""
    done = run([sys.executable, ROOT / "tools" / tool, "-h"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"usage: {tool} [-h]" in done.stdout


def test_missing_file_is_one_line():
    done = run_tool("train.py", "no.py")
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert line == "train.py: error: config file 'no.py' does not exist"
    assert "Traceback" not in done.stderr


# ----------------------------------------------------------------- shell scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_syntax(script):
    done = run(["bash", "-n", script])
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck(script):
    done = run(["shellcheck", "-x", script], cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh"])
def test_distributed_scripts_ask_for_what_is_missing(script):
    done = run(["bash", ROOT / "tools" / script, "config.py"])
    assert done.returncode == 2
    assert done.stderr.startswith(f"Usage: tools/{script} CONFIG ")


def test_distributed_scripts_refuse_a_wrong_number_of_ranks():
    done = run(["bash", ROOT / "tools" / "dist_train.sh", "config.py", "0"])
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: the number of GPUs (ranks a machine) must be 1 or more, got '0'"
    ]


class Clone:
    """A fresh copy of the scripts, on a machine that holds what the test says."""

    def __init__(self, folder):
        self.root = folder / "clone with blank"
        self.bin = folder / "bin"
        self.bin.mkdir()
        shutil.copytree(ROOT / "tools", self.root / "tools")
        shutil.copy(ROOT / "pyproject.toml", self.root)
        for name in UTILITIES:
            if path := shutil.which(name):
                (self.bin / name).symlink_to(path)

    def add(self, name, script):
        path = self.bin / name
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        path.chmod(0o755)

    def add_python(self, name="python3", version=None):
        real = getattr(sys, "_base_executable", sys.executable)
        if version is None:
            self.add(name, f'exec "{real}" "$@"')
            return
        code = f"import sys; sys.version_info = {version}; exec(sys.argv[1])"
        self.add(name, f'shift; exec "{real}" -c \'{code}\' "$@"')

    def run(self, script, *args, **variables):
        kept = ("HOME", "TMPDIR", "LD_LIBRARY_PATH", "LANG")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        env |= {"PATH": str(self.bin), **variables}
        return run(["bash", self.root / "tools" / script, *args], env=env)

    @property
    def made(self):
        return {path.name for path in self.root.iterdir() if ".lock" not in path.name}


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def assert_one_line(done, *parts):
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize("script", COMMANDS)
def test_commands_explain_themselves(clone, script):
    done = clone.run(script, "--help")
    assert done.returncode == 0
    assert f"Usage: bash tools/{script} [--stack onedl|openmmlab]" in done.stdout
    assert done.stdout.splitlines()[-1].strip()
    assert "set -euo" not in done.stdout
    assert clone.made == {"tools", "pyproject.toml"}


@pytest.mark.parametrize("script", COMMANDS)
def test_unknown_stack(clone, script):
    assert_one_line(clone.run(script, "--stack", "mmdet4"), "mmdet4", "openmmlab")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--part", "monthly"], ["'monthly'", "everyday, weekly or all"]),
        (["--part=often", "-x"], ["'often'"]),
        (["-x", "--part"], ["--part needs a name"]),
    ],
)
def test_unknown_part(clone, arguments, parts):
    assert_one_line(clone.run("run_tests.sh", *arguments), *parts)


def parsed(*arguments):
    """How run_tests.sh reads its command line: environment, selection, the rest."""
    text = (ROOT / "tools" / "run_tests.sh").read_text()
    functions, end, _ = text.partition('parse_stack "$@"\n')
    assert end
    functions = functions.replace('source "$(dirname "${BASH_SOURCE[0]}")/', 'source "')
    shown = 'printf "%s|" "${VENV##*/}" "${SELECT[*]}" "${REST[@]}"'
    code = f'{functions}parse_stack "$@"\nparse_part\n{shown}'
    done = run(["bash", "-c", code, "run_tests.sh", *arguments], cwd=ROOT / "tools")
    assert done.returncode == 0, done.stderr
    return done.stdout.split("|")[:-1]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], [".venv", "-m not weekly"]),
        (["-m", "not slow", "tests/a b"], [".venv", "-m not weekly"]),
        (["--part", "weekly", "-x"], [".venv", "-m weekly"]),
        (["--lowest", "--part=all"], [".venv-lowest", ""]),
        (["-x", "--stack", "openmmlab"], [".venv-openmmlab", "-m not weekly"]),
    ],
)
def test_parts_and_rows(arguments, wanted):
    found = parsed(*arguments)
    assert found[:2] == wanted
    # All else goes to pytest, after what selects the part: of two `-m` the last holds.
    ours = {"--lowest", "--part", "weekly", "--part=all", "--stack", "openmmlab"}
    rest = [word for word in arguments if word not in ours]
    assert found[2:] == rest


def test_lowest_versions_are_those_of_the_package():
    done = run(["bash", "-c", f"source '{ROOT}/tools/setup_env.sh' && lowest_versions"])
    assert done.returncode == 0, done.stderr
    pins = dict(line.split("==") for line in done.stdout.splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = list(project["dependencies"])
    for extra in ("test", "demo", "doctor"):
        lines += extras[extra]
    bounds = dict(line.split(">=") for line in lines if ">=" in line)
    # mmcv is built with one version of torch, that of the other rows.
    bounds.pop("torch")
    assert pins == bounds


@pytest.mark.parametrize("script", ["quickstart.sh", "setup_env.sh"])
def test_unknown_argument(clone, script):
    assert_one_line(clone.run(script, "--sleep"), "--sleep", "--help")


@pytest.mark.parametrize("script", COMMANDS)
def test_no_python(clone, script):
    clone.add("g++", "exit 0")
    assert_one_line(clone.run(script), "Python 3.10 or newer")
    assert clone.made == {"tools", "pyproject.toml"}


def test_old_python(clone):
    clone.add("g++", "exit 0")
    clone.add_python(version=(3, 8, 10))
    assert_one_line(clone.run("quickstart.sh"), "python3 is only Python 3.8")


def test_python_that_is_named_must_work(clone):
    clone.add("g++", "exit 0")
    clone.add_python()
    done = clone.run("quickstart.sh", PYTHON="/nowhere/python")
    assert_one_line(done, "PYTHON=/nowhere/python")


def test_newer_python_is_found_beside_an_old_one(clone):
    clone.add_python(version=(3, 8, 10))
    clone.add_python("python3.11")
    # The next thing that is missing shows that a Python was found.
    assert_one_line(clone.run("run_tests.sh"), "C++ compiler")


@pytest.mark.parametrize("script", COMMANDS)
@pytest.mark.parametrize("stack", ["onedl", "openmmlab"])
def test_no_compiler(clone, script, stack):
    clone.add_python()
    done = clone.run(script, "--stack", stack)
    assert_one_line(done, "C++ compiler", "g++", "apt-get install g++")
    assert clone.made == {"tools", "pyproject.toml"}


def test_full_disk(clone):
    clone.add_python()
    clone.add("g++", "exit 0")
    (clone.bin / "df").unlink()
    clone.add("df", "printf 'head\\nfs 9000000 1 1048576 1%% /\\n'")
    assert_one_line(clone.run("quickstart.sh"), "1024 MB free", "6 GB needed")
    assert clone.made == {"tools", "pyproject.toml"}


@pytest.mark.slow
@pytest.mark.weekly
def test_no_network_and_repair_of_a_half_made_environment(clone):
    clone.add_python()
    clone.add("g++", "exit 0")
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_DEFAULT_TIMEOUT": "1",
    }
    done = clone.run("setup_env.sh", **offline)
    assert_one_line(done, "pip cannot reach its package index")
    assert "Making .venv" in done.stdout

    (clone.root / ".venv" / "bin" / "python").unlink()
    done = clone.run("setup_env.sh", **offline)
    assert_one_line(done, "pip cannot reach its package index")
    assert ".venv is incomplete or its Python is gone: making it anew" in done.stdout
