"""Registry nodes of scope ``imb_det``, one below each node of mmdet.

A child node resolves ``type='imb_det.X'`` inside any mmdet config and head, and
leaves mmdet's own class of the same name reachable. There is one node for every
node of mmdet, also where this library registers nothing: dictionaries inherited
from an ``imb_det::`` base carry that scope, and a lookup needs a node to start
from.
"""

from __future__ import annotations

import mmdet.registry as _mmdet
from mmengine.registry import Registry

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "HOOKS",
    "METRICS",
    "MODELS",
    "NODES",
    "SCOPE",
    "TASK_UTILS",
    "TRANSFORMS",
]

SCOPE = "imb_det"

#: All nodes by the name of their parent in ``mmdet.registry``.
NODES: dict[str, Registry] = {
    name: Registry(node.name, parent=node, scope=SCOPE, locations=[SCOPE])
    for name, node in vars(_mmdet).items()
    if isinstance(node, Registry) and node.scope == "mmdet"
}

DATASETS = NODES["DATASETS"]
DATA_SAMPLERS = NODES["DATA_SAMPLERS"]
HOOKS = NODES["HOOKS"]
METRICS = NODES["METRICS"]
MODELS = NODES["MODELS"]
TASK_UTILS = NODES["TASK_UTILS"]
TRANSFORMS = NODES["TRANSFORMS"]
