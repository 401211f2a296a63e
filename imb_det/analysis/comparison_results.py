"""Methods compared on one test set, as text and as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imb_det.core.shown_text import shown
from imb_det.evaluation.functional import text_table
from imb_det.evaluation.functional.bootstrap import BootstrapResults
from imb_det.evaluation.functional.tables import plain

__all__ = ["RunComparison"]


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Methods compared to the first of them.

    Args:
        runs: Files of the seeds, by the name of the method; M of them.
        settings: What was compared, for JSON.
        results: Figures on the test set and on its resamples.
        confidence: Of the intervals, in (0, 1).
    """

    runs: Mapping[str, Sequence[Path]]
    settings: Mapping[str, Any]
    results: BootstrapResults
    confidence: float

    def text(self) -> str:
        """Write the figures of each method, and the differences to the first one."""
        found, names = self.results, list(self.runs)
        figures = list(found.figures)
        width = max(map(len, figures))
        rows = [
            [n, *own.tolist()] for n, own in zip(names, found.estimate, strict=True)
        ]
        lines = [text_table(["method", *figures], rows)]
        ends = found.difference_intervals(self.confidence)
        shares = found.share_above()
        for m, name in enumerate(names[1:], 1):
            lines += ["", f"{shown(name)} - {shown(names[0])}"]
            for f, figure in enumerate(figures):
                change, share = found.differences[m, f], shares[m, f]
                line = "-"
                if math.isfinite(change) and math.isfinite(share):
                    low, high = ends[m, f]
                    line = f"{change:+.3f} [{low:.3f}, {high:.3f}]"
                    line = f"{line:<24} above 0 in {share:.1%} of resamples"
                lines.append(f"{figure:<{width}}  {line}")
        return "\n".join([*lines, "", self._explanation()])

    def _explanation(self) -> str:
        single = [name for name, files in self.runs.items() if len(files) == 1]
        rules = {"coco": "COCO", "lvis": "LVIS"}[self.settings["rules"]]
        text = (
            f"AP by {rules}'s rules. {self.confidence:.0%} intervals of "
            f"{len(self.results.samples)} resamples of the "
            f"{self.settings['num_images']} images"
        )
        if self.settings["fixed_seeds"]:
            return f"{text}, for these trained models."
        text += ", and of the seeds." if len(single) < len(self.runs) else "."
        if single:
            text += (
                f" Of {', '.join(map(shown, single))} there is one seed: how much "
                "another training would differ is not in the intervals."
            )
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return numbers and lists for JSON; what is not defined is None."""
        found, names = self.results, list(self.runs)
        ends = found.intervals(self.confidence)
        of_difference = found.difference_intervals(self.confidence)
        shares = found.share_above()
        methods, differences = {}, {}
        for m, name in enumerate(names):
            methods[name] = {
                "files": [str(file) for file in self.runs[name]],
                "figures": {
                    figure: {
                        "estimate": plain(found.estimate[m, f]),
                        "interval": [plain(end) for end in ends[m, f]],
                        "seeds": [plain(value) for value in found.seeds[m][:, f]],
                    }
                    for f, figure in enumerate(found.figures)
                },
            }
        for m, name in enumerate(names[1:], 1):
            differences[name] = {
                figure: {
                    "difference": plain(found.differences[m, f]),
                    "interval": [plain(end) for end in of_difference[m, f]],
                    "share_above": plain(shares[m, f]),
                }
                for f, figure in enumerate(found.figures)
            }
        return {
            "settings": {**self.settings, "confidence": self.confidence},
            "baseline": names[0],
            "methods": methods,
            "differences": differences,
        }
