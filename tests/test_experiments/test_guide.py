"""The guide rests on what was measured."""

import pytest

from imb_det.experiments.guide import Advice, guide_table

TITLES = dict(plain="plain", rfs="RFS")
COMPARISONS = dict(
    boards=dict(
        differences=dict(
            rfs=dict(
                APr=dict(difference=0.1, interval=[0.05, 0.15]),
                APf=dict(difference=-0.01, interval=[-0.02, 0.01]),
            )
        ),
        methods=dict(rfs=dict(files=["a.npz", "b.npz"])),
    )
)


def test_a_line_has_the_figures_of_its_row():
    advice = Advice(
        "rare classes", "`RepeatFactorSampler`", "boards", "rfs", cost="an hour"
    )
    assert guide_table(TITLES, COMPARISONS, [advice]).splitlines()[2] == (
        '| rare classes | `RepeatFactorSampler` | "RFS" | **+0.100 [+0.050, +0.150]** '
        "| -0.010 [-0.020, +0.010] | - | an hour |"
    )


def test_of_one_seed_nothing_stands_out():
    guide = [Advice("rare classes", "`RepeatFactorSampler`", "boards", "rfs")]
    one = dict(COMPARISONS["boards"], methods=dict(rfs=dict(files=["a.npz"])))
    assert "**" in guide_table(TITLES, COMPARISONS, guide)
    assert "**" not in guide_table(TITLES, dict(boards=one), guide)


@pytest.mark.parametrize("row", [("boards", "drw"), ("digits", "rfs")])
def test_a_line_without_a_row_is_refused(row):
    with pytest.raises(ValueError, match=f"'{row[1]}' on '{row[0]}', which is not"):
        guide_table(TITLES, COMPARISONS, [Advice("all", "nothing", *row)])


def test_another_experiment_beside_it():
    guide = [Advice("all", "it", "boards", name) for name in ("rfs", "drw")]
    row = dict(COMPARISONS["boards"]["differences"]["rfs"])
    here = dict(COMPARISONS["boards"], differences=dict(rfs=row, drw=row))
    here["methods"] = dict.fromkeys(("rfs", "drw"), here["methods"]["rfs"])
    header, _, *lines = guide_table(
        dict(TITLES, drw="DRW"),
        dict(boards=here),
        guide,
        beside=COMPARISONS,
        place="digits",
    ).splitlines()
    assert header.endswith("| top-1 rare | APr, digits | cost |")
    assert lines[0].split(" | ")[-2] == "**+0.100 [+0.050, +0.150]**"
    assert lines[1].split(" | ")[-2] == "-"
