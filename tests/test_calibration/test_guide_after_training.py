"""What the user's page says of trained detectors are the committed figures."""

import json

from imb_det.experiments.tables import difference_text

#: Of each row, in order: the folder, and the method in its figures.
ROWS = {
    "`--fuse logits`": ("merging", "seeds_logits"),
    "`--method norcal --value 0.8`": ("calibration", "norcal 0.8"),
    "`--method fracal --value 2`": ("calibration", "fracal 2.0"),
    "`--method logit_adjustment --value 0.5`": ("calibration", "logit_adjustment 0.5"),
    "`--method logit_adjustment --value 1`": ("calibration", "logit_adjustment 1.0"),
    "`--method logn`": ("calibration", "logn None"),
}
FIGURES = ("APr", "APf", "top1_r", "top1_f")


def test_rows_are_the_figures_in_order(repo_root):
    text = (repo_root / "README.md").read_text(encoding="utf-8")
    _, _, table = text.partition("<!-- after training -->\n")
    _, _, *rows = table.partition("<!-- end of after training -->")[0].splitlines()
    gains = []
    for row, (use, (folder, method)) in zip(rows, ROWS.items(), strict=True):
        own, digits = (
            json.loads((repo_root / "configs" / folder / f"{file}.json").read_text())
            for file in ("boards_lt", "longtail_digits")
        )
        own, digits = own["differences"][method], digits["differences"][method]
        cells = row.split(" | ")
        assert use in cells[1]
        assert cells[2:6] == [difference_text(own[name]) for name in FIGURES]
        assert cells[6] == difference_text(digits["APr"])
        gains.append(own["APr"]["difference"])
    assert gains == sorted(gains, reverse=True)
