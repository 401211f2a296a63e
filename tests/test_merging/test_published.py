"""The rows of the page are the committed figures."""

import json
import re

import pytest

ROWS = {
    "boards_lt": {
        f"`{fuse}`": f"seeds_{fuse}" for fuse in ("logits", "probabilities", "boxes")
    },
    "boards_lt_logit-adjustment": {"logit adjustment": "la_logits"},
    "boards_lt_tuned": {
        "as before": "plain",
        "RFS": "rfs",
        "`ClassAwareSampler`": "aware",
        "logit adjustment": "la",
        "`uniform` of three seeds as before": "soup_seeds",
        "`uniform` of RFS, class-aware, logit adjustment": "soup_kinds",
        "`wise_ft`, 0.5, class-aware": "wise_aware",
        "`wise_ft`, 0.5, logit adjustment": "wise_la",
    },
}


def _rows_with_intervals(page):
    """Titles and cells of tables, one dict for each table whose rows have intervals."""
    tables = [{}]
    for line in page.splitlines():
        if not line.startswith("|"):
            if tables[-1]:
                tables.append({})
        elif re.search(r"\[[+-]", line):
            title, *cells = (c.strip(" *") for c in line.strip("|").split(" | "))
            assert title not in tables[-1]
            tables[-1][title] = cells
    return [table for table in tables if table]


@pytest.fixture
def tables(repo_root):
    page = (repo_root / "configs" / "merging" / "README.md").read_text()
    return _rows_with_intervals(page)


def test_every_row_has_figures(tables):
    assert sorted(map(sorted, tables)) == sorted(map(sorted, ROWS.values()))


@pytest.mark.parametrize("file", ROWS)
def test_rows_are_the_figures(repo_root, tables, file):
    names = ROWS[file]
    (table,) = (table for table in tables if table.keys() == names.keys())
    path = repo_root / "configs" / "merging" / f"{file}.json"
    figures = json.loads(path.read_text())["differences"]
    keys = ["AP", "APr", "APc", "APf", "top1_r", "top1_f"]
    for title, name in names.items():
        values = [figures[name][key] for key in keys]
        assert table[title] == [
            f"{v['difference']:+.3f} [{v['interval'][0]:+.3f}, {v['interval'][1]:+.3f}]"
            for v in values
        ]
