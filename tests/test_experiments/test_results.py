"""Results as lines, and tables of them."""

import pytest

from imb_det.experiments import markdown_table, merge_results, read_results


def result(method, seed, ap, time=10.0):
    figures = dict(AP=ap, APr=None, APc=ap, APf=ap, top1_r=ap / 2)
    return dict(
        dataset="toy",
        method=method,
        seed=seed,
        figures=figures,
        cpu_seconds=time,
        memory_gb=1.0,
    )


def test_results_are_merged_in_order(tmp_path):
    path = tmp_path / "results.jsonl"
    merge_results(path, [result("b", 0, 0.1), result("a", 1, 0.2)])
    merge_results(path, [result("a", 0, 0.3), result("b", 0, 0.4)])
    found = [(r["method"], r["seed"], r["figures"]["AP"]) for r in read_results(path)]
    assert found == [("a", 0, 0.3), ("a", 1, 0.2), ("b", 0, 0.4)]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "results.jsonl"
    merge_results(path, [result("a", 0, 0.3)])
    before = path.read_text()

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(OSError, match="no space left"):
        merge_results(path, [result("b", 0, 0.3)])
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: no result"),
        ("[]", "line 2: no result"),
        ('{"dataset": "toy"}', "line 2: no result"),
        (None, r"line 2: a second result of \['toy', 'a', 0\]"),
    ],
)
def test_a_line_that_is_no_result_is_named(tmp_path, line, words):
    path = tmp_path / "results.jsonl"
    merge_results(path, [result("a", 0, 0.3)])
    first = path.read_text()
    path.write_text(first + (first if line is None else line + "\n"))
    with pytest.raises(ValueError, match=words):
        read_results(path)


def test_a_table_by_hand():
    results = [
        result("plain", 0, 0.2),
        result("plain", 1, 0.4),
        result("rfs", 0, 0.5, time=15.0),
        result("rfs", 1, 0.5, time=None),  # was killed and went on
        result("drw", 0, 0.5, time=None),
    ]
    difference = dict(difference=0.2, interval=[0.1, 0.3])
    nothing = dict(difference=None, interval=[None, None])
    around = dict(difference=0.0, interval=[-0.1, 0.1])
    comparison = dict(
        differences=dict(
            rfs=dict(AP=difference, APr=nothing, APc=around, APf=around),
            drw=dict(AP=difference),  # of one seed: nothing stands out
        ),
        # Of the groups of the comparison.
        methods=dict(drw=dict(figures=dict(APf=dict(seeds=[0.45])))),
    )
    titles = dict(plain="plain", other="not run", rfs="RFS", drw="DRW")
    text = markdown_table(results, titles, comparison)
    assert text.splitlines() == [
        "| method | seeds | AP | APr | APc | APf | top-1 rare | time | memory |",
        f"|{' --- |' * 9}",
        "| plain | 2 | 0.300 ± 0.141 | - | 0.300 ± 0.141 | 0.300 ± 0.141 "
        "| 0.150 ± 0.071 | 1.00 | 1.00 |",
        "| RFS | 2 | 0.500 ± 0.000, **+0.200 [+0.100, +0.300]** | - "
        "| 0.500 ± 0.000, +0.000 [-0.100, +0.100] "
        "| 0.500 ± 0.000, +0.000 [-0.100, +0.100] | 0.250 ± 0.000 | 1.50 | 1.00 |",
        "| DRW | 1 | 0.500, +0.200 [+0.100, +0.300] | - | 0.500 | 0.450 | 0.250 "
        "| - | 1.00 |",
    ]
    assert markdown_table([], titles) == "no results\n"


def test_a_title_stays_in_its_cell():
    text = markdown_table([result("plain", 0, 0.2)], dict(plain="a | b\nc"))
    assert text.splitlines()[2].startswith(r"| a \| b\nc | 1 | 0.200 |")
