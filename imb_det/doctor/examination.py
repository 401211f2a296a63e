"""The whole examination of a config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imb_det.checks import ALL_CHECKS, run_checks
from imb_det.core.checks import check_choice, refuse_idle
from imb_det.core.finding import Finding
from imb_det.core.shown_text import write_text
from imb_det.datasets.image_hashes import MOST_BITS
from imb_det.statistics.dataset_access import leaf_datasets

from .building import build_context
from .config_checks import CONFIG_CHECKS
from .config_reading import read_config
from .context import DoctorContext
from .data_checks import DATA_CHECKS
from .diagnosis import Diagnosis
from .page import write_page
from .patch import write_patch
from .prescription import prescribe
from .quiet import quiet_libraries

__all__ = ["diagnose", "examine"]


def diagnose(
    config_file: str,
    options: Mapping[str, Any] | None = None,
    look_at_images: bool = True,
    out: Path | None = None,
    html: bool = False,
    hash_distance: int | None = None,
) -> tuple[Diagnosis, DoctorContext | None]:
    """Read a config, examine it, prescribe, and write what is asked for.

    Args:
        config_file: Config of a training.
        options: What the command line changes in it. Default: nothing.
        look_at_images: Whether image files are opened. Default: True.
        out: Folder for ``doctor.json`` and ``prescription.py``. Default: None, nothing
            is written.
        html: Whether the page ``doctor.html`` is written too. Default: False.
        hash_distance: See :func:`examine`. Default: None.

    Returns:
        The diagnosis, and what it is about; None where the config cannot be read.

    Raises:
        OSError: The folder cannot be written to.
    """
    config, found = read_config(config_file, options)
    if config is None:
        return _written(Diagnosis(config_file, found), None, out, html), None
    context, findings = examine(config, config_file, look_at_images, hash_distance)
    found = list(dict.fromkeys([*found, *findings]))
    prescription = prescribe(context)
    patch = None
    if out is not None:
        file = out / "prescription.py"
        written = write_patch(file, prescription, config, config_file, options)
        patch = None if written is None else str(written)
    diagnosis = Diagnosis(config_file, found, prescription, patch)
    return _written(diagnosis, context, out, html), context


def _written(
    diagnosis: Diagnosis, context: DoctorContext | None, out: Path | None, html: bool
) -> Diagnosis:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(diagnosis.to_dict(), indent=1)
        write_text(out / "doctor.json", text + "\n")
        if html:
            write_page(out / "doctor.html", diagnosis, context)
    return diagnosis


_PROGRESS_FROM = 2000  # images


def examine(
    config: Any,
    config_file: str = "",
    look_at_images: bool = True,
    hash_distance: int | None = None,
) -> tuple[DoctorContext, list[Finding]]:
    """Build the parts of a config, without training, and run all checks on them.

    Args:
        config: Config (:class:`mmengine.config.Config`).
        config_file: Its path, for messages. Default: unknown.
        look_at_images: Whether image files are opened. Default: True.
        hash_distance: Bits of 256 in which the hashes of near copies of an image may
            differ. Default: None, near copies are not looked for.

    Returns:
        The parts that could be built, and all findings, each once.

    Raises:
        ValueError: ``hash_distance`` where no image file is opened, or not in [0, 64].
    """
    if hash_distance is not None:
        check_choice("examine", "hash_distance", hash_distance, range(MOST_BITS + 1))
        if not look_at_images:
            refuse_idle(
                "examine",
                "with `look_at_images=False`",
                hash_distance=(hash_distance, None),
            )
    with quiet_libraries():
        context, found = build_context(
            config, config_file, look_at_images, hash_distance
        )
    checks = (*ALL_CHECKS, *DATA_CHECKS, *CONFIG_CHECKS)
    found += run_checks(context, tqdm(checks, "examining", disable=_is_quick(context)))
    return context, list(dict.fromkeys(found))


def _is_quick(context: DoctorContext) -> bool:
    """Tell whether there are too few images for a progress bar."""
    leaves = chain.from_iterable(map(leaf_datasets, context.datasets.values()))
    return sum(map(len, leaves)) < _PROGRESS_FROM
