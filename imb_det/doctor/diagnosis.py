"""What the doctor has found, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imb_det.core.finding import Finding, Severity, render

from .prescription import Prescription

__all__ = ["Diagnosis"]


@dataclass(frozen=True)
class Diagnosis:
    """Everything about one config; plain values, ready for JSON.

    Args:
        config_file: Path of the config.
        findings: In the order in which checks found them.
        prescription: What to change; None where the config could not be read. Default:
            None.
        patch: File that changes it. Default: None.
    """

    config_file: str
    findings: Sequence[Finding]
    prescription: Prescription | None = None
    patch: str | None = None

    @property
    def worst(self) -> Severity | None:
        """The severity of the worst finding; None without any."""
        order = list(Severity)
        found = [finding.severity for finding in self.findings]
        return min(found, key=order.index, default=None)

    def fails(self, level: Severity) -> bool:
        """Tell whether something is as bad as a level, or worse."""
        order = list(Severity)
        return self.worst is not None and (
            order.index(self.worst) <= order.index(level)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dictionaries and numbers."""
        return {
            "config": self.config_file,
            "findings": [finding.to_dict() for finding in self.findings],
            "prescription": self.prescription and self.prescription.to_dict(),
            "patch": self.patch,
        }

    def text(self, max_named: int = 5) -> str:
        """Return the findings as a block of text, errors first.

        Args:
            max_named: Findings named of each kind. Default: 5.
        """
        parts = [render(self.findings, self.config_file, max_named)]
        if self.prescription is not None:
            parts.append(self.prescription.text())
        if self.patch is not None:
            parts.append(f"Ready to train: {self.patch}")
        return "\n\n".join(parts)
