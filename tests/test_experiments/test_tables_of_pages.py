"""Rows of the pages about trained detectors are the committed figures."""

import json
import re

import pytest

from imb_det.experiments.tables import difference_text

#: Of each file of figures: the titles of the rows, and the methods that they show.
_CALIBRATION = {
    "logit adjustment, tau 0.25": "logit_adjustment 0.25",
    "logit adjustment, tau 0.5": "logit_adjustment 0.5",
    "logit adjustment, tau 1": "logit_adjustment 1.0",
    "NorCal, gamma 0.2": "norcal 0.2",
    "NorCal, gamma 0.4": "norcal 0.4",
    "NorCal, gamma 0.8": "norcal 0.8",
    "FRACAL, frequency alone": "fracal 0.0",
    "FRACAL, lambda 2": "fracal 2.0",
    "LogN": "logn None",
}
_ENSEMBLES = {
    f"`{fuse}`": f"seeds_{fuse}" for fuse in ("logits", "probabilities", "boxes")
}
ROWS = {
    "calibration/boards_lt": _CALIBRATION,
    "calibration/longtail_digits": _CALIBRATION,
    "decoupled/boards_lt_experts": {
        "`expert_weights`": "weights",
        "`--value 1`, classes alike": "weights_classes",
        "the first expert alone": "first_alone",
    },
    "decoupled/boards_lt_edited": {
        "tau 1": "tau",
        "tau 1, `--keep-scale`": "tau_keep",
        "means of classes": "ncm",
    },
    "decoupled/boards_lt_simltd": {
        "rows of both in one": "combined",
        "the third step": "joint",
        "the third step, whole box head": "box_head",
    },
    "decoupled/longtail_digits_edited": {
        "tau 1, `--keep-scale`": "tau",
        "means of classes": "ncm",
    },
    "merging/boards_lt": _ENSEMBLES,
    "merging/longtail_digits": _ENSEMBLES,
    "merging/boards_lt_logit-adjustment": {"logit adjustment": "la_logits"},
    "merging/boards_lt_tuned": {
        "the start": "start",
        "RFS": "rfs",
        "`ClassAwareSampler`": "aware",
        "logit adjustment": "la",
        "`uniform` of RFS, class-aware, logit adjustment": "soup_kinds",
        "`wise_ft`, 0.5, class-aware": "wise_aware",
        "`wise_ft`, 0.5, logit adjustment": "wise_la",
        "`task_arithmetic`, 0.3, of the three": "task",
        "`ties` of the three": "ties",
        "`position` of the three": "position",
        "`position --by-part` of the three": "position_part",
    },
    "merging/longtail_digits_tuned": {
        "the start": "start",
        "RFS": "rfs",
        "`ClassAwareSampler`": "aware",
        "logit adjustment": "la",
        "`uniform` of the three": "soup_kinds",
        "`wise_ft`, 0.5, class-aware": "wise_aware",
        "`task_arithmetic`, 0.3, of the three": "task",
        "`ties` of the three": "ties",
        "`position` of the three": "position",
    },
}


def _tables_with_differences(page):
    """Return header, and cells by title, of the tables that have differences."""
    tables, header = [], None
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            header = None
        elif header is None:
            header, rows = cells[1:], {}
            tables.append((header, rows))
        elif re.search(r"[+-]\d\.\d+ \[[+-]", line):
            assert cells[0] not in rows
            rows[cells[0]] = cells[1:]
    return [(header, rows) for header, rows in tables if rows]


@pytest.mark.parametrize("file", ROWS)
def test_rows_are_the_figures(repo_root, file):
    folder, stem = (repo_root / "configs" / file).parent, file.rpartition("/")[2]
    page = (folder / "README.md").read_text()
    figures = json.loads((repo_root / "configs" / f"{file}.json").read_text())
    names = ROWS[file]
    # The table comes after the link to its figures.
    tables = _tables_with_differences(page.partition(f"({stem}.json)")[2])
    found = next(table for table in tables if table[1].keys() == names.keys())
    header, rows = found
    keys = [title.replace("top-1 ", "top1_") for title in header]
    keys = [key[:6] if key.startswith("top1_") else key for key in keys]
    for title, name in names.items():
        own = figures["differences"][name]
        assert rows[title] == [difference_text(own[key]) for key in keys], title


def test_every_file_of_figures_is_shown(repo_root):
    folders = [
        repo_root / "configs" / f for f in ("calibration", "decoupled", "merging")
    ]
    files = {f"{f.parent.name}/{f.stem}" for d in folders for f in d.glob("*.json")}
    assert files == ROWS.keys()
