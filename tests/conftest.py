import gc
import os
import random
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
HAS_GPU = torch.cuda.is_available()
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")

# In CI the same examples every time; a deadline says more about the machine's load.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if IN_CI else "default")


def pytest_collection_finish():
    """Spare what is there by now: mmengine collects garbage with each data set."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeds():
    """The same random numbers in every test, in whatever order they run."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 -- what mmengine and mmdet draw from
    if HAS_GPU:
        torch.manual_seed(0)
    else:  # that of all devices keeps a text of the stack each time: a millisecond
        torch.default_generator.manual_seed(0)


@pytest.fixture
def one_thread():
    """Leave the other cores alone: the models are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def elsewhere(monkeypatch):
    """Losses take every device for a GPU, whose numbers they do not look at."""
    monkeypatch.setattr("imb_det.losses.one_pass.AT_HAND", ())


@pytest.fixture
def small_chunks(monkeypatch):
    """Losses take some hundred rows in parts, of so many elements.

    A number of rows that is above the library's parts would not be when these grow.
    """
    elements = 400
    monkeypatch.setattr("imb_det.losses.one_pass._CHUNK", {"cpu": elements})
    return elements


@pytest.fixture(scope="session")
def repo_root():
    return ROOT


@pytest.fixture(scope="session")
def bccd_root():
    """Folder of the BCCD data; without it a test is skipped, but fails in CI."""
    folder = ROOT / "data" / "bccd"
    if not folder.is_dir():
        missing = f"the BCCD data set is not in {folder}"
        if IN_CI:
            pytest.fail(missing)
        pytest.skip(missing)
    return folder
