"""Names in a config that are nearly, but not quite, those that anybody reads."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine.runner import Runner

from imb_det.core.finding import Finding, Severity

__all__ = ["misspelt_keys"]

#: What mmengine, mmdet and their tools read beside the arguments of the runner.
_ALSO_READ = (
    "activation_checkpointing",
    "auto_scale_lr",
    "compile",
    "custom_imports",
    "default_scope",
    "efficient_conv_bn_eval",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "runner_type",
    "strategy",
    "tta_model",
    "tta_pipeline",
)
_RUNNER = (
    *(name for name in inspect.signature(Runner).parameters if name != "cfg"),
    *_ALSO_READ,
)
#: What may stand in dictionaries whose other keys are ignored, or mean something new.
_INSIDE = {
    "default_hooks": (
        "checkpoint",
        "logger",
        "param_scheduler",
        "runtime_info",
        "sampler_seed",
        "timer",
        "visualization",
    ),
    "env_cfg": ("cudnn_benchmark", "dist_cfg", "mp_cfg", "resource_limit"),
}
#: What mmdet 2 read, and what is read in its place.
_FORMER = {
    "checkpoint_config": "default_hooks.checkpoint",
    "log_config": "default_hooks.logger",
    "lr_config": "param_scheduler",
    "optimizer_config": "optim_wrapper",
    "resume_from": "resume` and `load_from",
    "total_epochs": "train_cfg.max_epochs",
}
#: What is a text, a number or a bool; the others are built from dictionaries or lists.
_PLAIN = (
    "activation_checkpointing",
    "compile",
    "default_scope",
    "experiment_name",
    "find_unused_parameters",
    "launcher",
    "load_from",
    "log_level",
    "resume",
    "runner_type",
    "work_dir",
)
_SHORT = 9  # letters, up to which one slip makes a key another, beyond them two


def misspelt_keys(cfg: Any) -> Iterator[Finding]:
    """Find keys that nobody reads and that are nearly one that is read.

    A config may have variables of its own at its top level. One that is used in the
    config, that starts with an underscore, that ends in a number, or that is a text
    where the key is a dictionary, is passed over.

    Args:
        cfg: Config (:class:`mmengine.config.Config`), options of the command line
            included.
    """
    text = getattr(cfg, "text", "") or ""
    for key in cfg:
        if key in _RUNNER or _is_used(str(key), text):
            continue
        # The text of a config with imports is without those that it imports.
        if "read_base" in text and _is_part(
            cfg[key], [cfg[k] for k in cfg if k != key]
        ):
            continue
        if key in _FORMER:
            evidence = "mmdet 2 read it, mmdet 3 does not"
            found = _finding(str(key), evidence, _FORMER[key])
            yield found.at_most(Severity.WARNING)  # as configs of mmdet itself have it
        likely = [name for name in _RUNNER if _could_be(cfg[key], name)]
        yield from _near(str(key), likely, set(cfg), str(key))
    for name, known in _INSIDE.items():
        inner = cfg.get(name)
        if isinstance(inner, Mapping):
            for key in inner:
                yield from _near(str(key), known, (), f"{name}.{key}")


def _near(
    key: str, known: Iterable[str], taken: Iterable[str], where: str
) -> Iterator[Finding]:
    """Find a key that is nearly a known one, or that was one."""
    if key in known or key.startswith("_") or key.rstrip("_0123456789") in known:
        return
    slips = {name: _slips(key, name) for name in known}
    nearest = min(slips, key=slips.__getitem__)
    if slips[nearest] > 1 + (len(key) > _SHORT):
        return
    there = f"; `{nearest}` is set as well" * (nearest in taken)
    yield _finding(where, f"the nearest that is read is `{nearest}`{there}", nearest)


def _finding(where: str, evidence: str, instead: str) -> Finding:
    return Finding(
        "misspelt_key",
        Severity.ERROR,
        "a key of the config that nobody reads",
        f"`{where}`",
        evidence,
        f"Write `{instead}`; a variable of your own can have any other name, or start "
        "with an underscore",
    )


def _slips(first: str, second: str) -> int:
    """Count the letters that are left out, put in, exchanged, or in the wrong order."""
    before: list[int] = []
    above = list(range(len(second) + 1))
    for i, a in enumerate(first):
        row = [i + 1]
        for j, b in enumerate(second):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (a != b)))
            if i and j and a == second[j - 1] and first[i - 1] == b:
                row[-1] = min(row[-1], before[j - 1] + 1)
        before, above = above, row
    return above[-1]


def _is_used(key: str, text: str) -> bool:
    """Tell whether a name stands in a config in another place than where it is set."""
    rest = re.sub(rf"(?m)^{re.escape(key)}\s*=", "", text)
    rest = re.sub(r"(?m)#.*$", "", rest)
    return re.search(rf"\b{re.escape(key)}\b", rest) is not None


def _could_be(value: Any, name: str) -> bool:
    """Tell whether a value is of a kind that a key may have."""
    if value is None:
        return True
    if name in _PLAIN:
        return not isinstance(value, (list, tuple, Mapping))
    return not isinstance(value, (str, int, float)) or isinstance(value, bool)


def _is_part(value: Any, whole: Any) -> bool:
    """Tell whether a value is somewhere in others."""
    if isinstance(whole, Mapping):
        whole = list(whole.values())
    if not isinstance(whole, (list, tuple)):
        return False
    return any(part == value or _is_part(value, part) for part in whole)
