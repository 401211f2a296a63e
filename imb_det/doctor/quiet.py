"""What libraries print while they build parts, which is no part of a report."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pycocotools import coco

__all__ = ["quiet_libraries"]


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep pycocotools from printing that it reads a file, and warnings back.

    A training prints them again, when it is begun.
    """
    module = vars(coco)
    module["print"] = _nothing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        module.pop("print", None)


def _nothing(*_: Any, **__: Any) -> None:
    pass
