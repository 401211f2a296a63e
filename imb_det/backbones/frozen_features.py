"""Outputs of frozen layers, computed once for each image."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor

__all__ = ["FrozenFeatures"]

_GB = 1 << 30


class FrozenFeatures:
    """Keeps what frozen layers make of an image, by the content of the image.

    As the content is the key, nothing need be known of the pipeline: an image that
    comes again as it was, from whatever transforms, is not computed again, and one that
    is another in a single pixel is. What is kept in a folder is also kept apart by the
    weights of the layers.

    Args:
        place: ``'memory'``, or a folder, which is made when it is needed.
        size: Most memory or disk that it takes, GB > 0.
        which: What tells these outputs from others of the same layers. Default: ``""``.

    Raises:
        NotADirectoryError: The folder is a file.
    """

    #: Whether new images are kept, as in a training and its validations; else it only
    #: looks for those that are, so that a detector in use does not fill a disk.
    keeps = False

    def __init__(self, place: str, size: float, which: str = "") -> None:
        self.limit, self.which = size * _GB, which
        self.folder = None if place == "memory" else Path(place)
        if self.folder is not None and self.folder.is_file():
            raise NotADirectoryError(f"{place} is a file, and must be a folder")
        self.weights: str | None = None
        self._kept: dict[str, tuple[Tensor, ...]] = {}
        self._bytes = 0
        self._is_full = False
        self.asked = self.found = 0

    def forget_weights(self) -> None:
        """Say that the weights of the layers may be others from now on."""
        self.weights = None
        self._kept.clear()

    def outputs(
        self,
        images: Tensor,
        compute: Callable[[Tensor], tuple[Tensor, ...]],
        weights: Iterable[Tensor],
    ) -> tuple[Tensor, ...]:
        """Return the outputs for a batch, without a graph.

        Args:
            images: (B, ...).
            compute: The layers: their outputs, (B, ...) each, for some images.
            weights: Of the layers.
        """
        if self.weights is None:
            self._begin(weights)
        device = images.device.type
        mode = "False"  # of autocast
        if torch.is_autocast_enabled(device):
            mode = f"{torch.get_autocast_dtype(device)}"
        rows = [self._of_image(image[None], mode, compute) for image in images.detach()]
        return tuple(
            torch.stack([output.to(images.device) for output in of_layer])
            for of_layer in zip(*rows, strict=True)
        )

    @torch.no_grad()
    def _of_image(
        self,
        image: Tensor,
        mode: str,
        compute: Callable[[Tensor], tuple[Tensor, ...]],
    ) -> tuple[Tensor, ...]:
        # One by one, so that what is kept does not depend on the rest of a batch.
        key = _digest([image], mode)
        self.asked += 1
        kept = self._get(key)
        if kept is not None:
            self.found += 1
            return kept
        new = tuple(output[0] for output in compute(image))
        if self.keeps:
            self._put(key, new)
        return new

    def _begin(self, weights: Iterable[Tensor]) -> None:
        self.weights = _digest(weights, self.which)[:16]
        self._bytes, self._is_full = 0, False
        if self.folder is not None:
            files = [path for path in self.folder.glob("*/*.pt") if path.is_file()]
            self._bytes = sum(path.stat().st_size for path in files)

    def _get(self, key: str) -> tuple[Tensor, ...] | None:
        if self.folder is None:
            return self._kept.get(key)
        path = self.folder / str(self.weights) / f"{key}.pt"
        try:
            return tuple(torch.load(path, map_location="cpu", weights_only=True))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, RuntimeError, ValueError, pickle.PickleError):
            return None  # cut, as by a machine that lost its power: it is made anew

    def _put(self, key: str, outputs: tuple[Tensor, ...]) -> None:
        size = sum(output.numel() * output.element_size() for output in outputs)
        if self._bytes + size > self.limit:
            self._tell_full()
            return
        self._bytes += size
        own = tuple(output.detach().clone() for output in outputs)
        if self.folder is None:
            self._kept[key] = own
            return
        path = self.folder / str(self.weights) / f"{key}.pt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, tuple(output.cpu() for output in own))
        except (OSError, RuntimeError) as error:  # of torch, where a disk is full
            self.keeps = False
            print_log(
                f"No more outputs of frozen layers are kept in {self.folder}, which "
                f"cannot be written: {error}",
                "current",
                logging.WARNING,
            )

    @staticmethod
    def _write(path: Path, outputs: tuple[Tensor, ...]) -> None:
        # Others may write the same: a file of its own takes its place as a whole.
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                torch.save(outputs, file)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise

    def _tell_full(self) -> None:
        if self._is_full:
            return
        self._is_full = True
        print_log(
            f"Outputs of frozen layers take {self.limit / _GB:g} GB, no more are kept "
            f"(`frozen_cache_size`); {self.found} of {self.asked} were there. Where "
            "few are, the pipeline changes images each time, and `frozen_cache=None` "
            "saves the memory",
            "current",
        )


def _digest(tensors: Iterable[Tensor], more: str = "") -> str:
    """Return a digest of the content of tensors."""
    digest = hashlib.blake2b(more.encode(), digest_size=16)
    for tensor in tensors:
        if tensor.dtype == torch.bfloat16:  # which NumPy does not have
            digest.update(b"bfloat16")
            tensor = tensor.float()
        array = tensor.detach().contiguous().cpu().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()
