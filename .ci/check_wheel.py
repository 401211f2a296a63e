"""Check an unpacked wheel: it imports, ships ``.mim``, and its configs resolve."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from mmengine.config import Config

import imb_det

BASE = "sampling_free/retinanet_r18_fpn_sampling-free_bccd.py"

site = Path(sys.argv[1]).resolve()
package = Path(imb_det.__file__).resolve().parent
if package != site / "imb_det":
    sys.exit(f"imported {package}, not the wheel in {site}")
for name in ("model-index.yml", "tools/train.py", "tools/test.py", f"configs/{BASE}"):
    if not (package / ".mim" / name).is_file():
        sys.exit(f"the wheel has no .mim/{name}")
with tempfile.TemporaryDirectory() as folder:
    derived = Path(folder, "derived.py")
    derived.write_text(f"_base_ = 'imb_det::{BASE}'\n")
    cfg = Config.fromfile(derived)
if "model" not in cfg:
    sys.exit(f"imb_det::{BASE} resolves to a config without a model")
print(f"imb_det {imb_det.__version__}: the wheel is complete")
