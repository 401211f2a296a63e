import runpy
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "check_env.py"


@pytest.fixture(scope="module")
def tool():
    return runpy.run_path(str(TOOL))


@pytest.fixture
def site(tmp_path):
    """Two installed packages, each of one module."""
    for name in ("whole", "broken"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").touch()
        (info / "RECORD").write_text(
            f'{name}.py,sha256=x,3\n{name}.pyc,,\n"{name}-1.0.dist-info/RECORD",,\n'
        )
        (tmp_path / f"{name}.py").touch()
    return tmp_path


@pytest.mark.parametrize(
    "lost",
    ["broken.py", "broken-1.0.dist-info/RECORD", "broken-1.0.dist-info/METADATA"],
)
def test_a_lost_file_makes_pip_forget_the_package(tool, site, lost):
    assert tool["incomplete_packages"](site) == []
    (site / lost).unlink()
    broken = tool["incomplete_packages"](site)
    assert [info.name for info in broken] == ["broken-1.0.dist-info"]

    (site / "~roken").mkdir()
    tool["remove_for_reinstall"](site, broken)
    left = {path.name for path in site.iterdir() if path.suffix != ".py"}
    assert left == {"whole-1.0.dist-info"}


def test_mmcv_without_operators(tool, site):
    with pytest.raises(ImportError, match="built without them"):
        tool["load_operators"](site)


def test_mmcv_with_operators_that_do_not_load(tool, site):
    (site / "mmcv").mkdir()
    (site / "mmcv" / "_ext.so").write_text("not an extension module")
    with pytest.raises(ImportError, match=r"_ext\.so"):
        tool["load_operators"](site)


def test_missing_system_library_is_explained(tool):
    error = ImportError("libGL.so.1: cannot open shared object file: No such file")
    text = tool["explain_import_error"](error)
    assert "libGL.so.1 is missing" in text
    assert "apt-get install" in text
    assert tool["explain_import_error"](ImportError("else")) == "ImportError: else"
