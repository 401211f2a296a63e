"""What runs are made of on disk: configs and annotation files."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from imb_det.statistics.cache import write_whole

__all__ = ["Files", "digest_of", "write_file"]

_LOADERS = ("train_dataloader", "test_dataloader")


class Files:
    """Configs and annotation files, each of them read once for all runs."""

    def __init__(self) -> None:
        self._configs: dict[str, Config] = {}
        self._digests: dict[Path, bytes] = {}

    def config(self, file: str) -> Config:
        """Return a config to be changed, also such as ``imb_det::ghm/...``."""
        if file not in self._configs:
            if "::" in file:  # which mmengine reads as a base
                found = Config.fromstring(f"_base_ = {file!r}", ".py")
            else:
                found = Config.fromfile(file)
            self._configs[file] = found
        return copy.deepcopy(self._configs[file])

    def digest(self, file: Path) -> bytes:
        """Return a digest of a file, also of one that is not there."""
        if file not in self._digests:
            content = file.read_bytes() if file.is_file() else b""
            found = hashlib.blake2b(content, digest_size=8).hexdigest()
            self._digests[file] = found.encode()
        return self._digests[file]


def digest_of(config: Config, read: Files) -> str:
    """Return a digest of all that decides the result of a run, but for the code.

    Args:
        config: Of the run.
        read: The files that have been read.
    """
    content = {k: v for k, v in config.to_dict().items() if k != "work_dir"}
    text = json.dumps(content, sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=8)
    for file in _annotation_files(config):
        digest.update(read.digest(file))
    return digest.hexdigest()


def write_file(path: Path, text: str) -> None:
    """Write a text that is there as a whole, or as it was before.

    Args:
        path: The file; its folder is made.
        text: Halves of characters, which UTF-8 does not have, are escaped.

    Raises:
        OSError: It cannot be written.
    """
    content = text.encode("utf-8", "backslashreplace")
    write_whole(path, lambda file: file.write(content))


def _annotation_files(config: Config) -> Iterator[Path]:
    """Yield the annotation files of training and test, through wrappers."""
    for loader in _LOADERS:
        dataset = (config.get(loader) or {}).get("dataset") or {}
        while isinstance(dataset.get("dataset"), dict):
            dataset = dataset["dataset"]
        for one in dataset.get("datasets", [dataset]):
            if one.get("ann_file"):
                yield Path(one.get("data_root") or "") / one["ann_file"]
