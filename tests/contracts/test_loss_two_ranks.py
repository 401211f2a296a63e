"""Two gloo ranks hold the statistics of one process on the joined batch."""

import pytest
import torch

from imb_det.losses import flush_statistics
from tests.two_ranks import on_two_ranks

from .batches import make_batch
from .box_cases import BOX_CASES, BoxCase, make_boxes
from .cases import of_activation

pytestmark = pytest.mark.dist

ROWS = (0, 3, 2, 1, 3, 3, 0, 2, 3)
#: Rows of both ranks in each step; None: the rank has no boxes, its loss is not called.
STEPS = (
    (slice(0, 5), slice(5, 9)),
    (slice(0, 9), None),
    (slice(0, 0), slice(0, 9)),
    (slice(0, 7), slice(7, 9)),
)
RESUMED = 3  # before this step, both ranks continue from a checkpoint of rank 0

#: Authors' ways of counting, each rank for itself, are offered for comparison only.
CLASSIFICATION = of_activation("softmax", "sigmoid")
TOGETHER = [
    c for c in (*CLASSIFICATION, *BOX_CASES) if c.arguments.get("statistics") != "call"
]


def _train(case, rank=None):
    """Losses and state of each step on a rank; of all rows without one."""
    loss = case.build()
    found = []
    for step, shares in enumerate(STEPS):
        if isinstance(case, BoxCase):
            batch = make_boxes(step, rows=len(ROWS))
        else:
            batch = make_batch(case, ROWS, step)
        mine = slice(None) if rank is None else shares[rank]
        if step == RESUMED:
            loss = _resumed(case, loss, rank)
        result = dict(rows=[], mean=0.0)
        if mine is not None:
            batch = [x[mine] for x in batch]
            result["rows"] = loss(*batch, reduction_override="none").tolist()
            result["mean"] = loss(*batch, avg_factor=2.0).item()
        flush_statistics(loss)
        result["state"] = {k: v.tolist() for k, v in loss.state_dict().items()}
        found.append(result)
    return found


def _resumed(case, loss, rank):
    content = [loss.state_dict()]
    if rank is not None:
        torch.distributed.broadcast_object_list(content)
    resumed = case.build()
    resumed.load_state_dict(content[0])
    return resumed


def _train_all(rank):
    return {str(case): _train(case, rank) for case in TOGETHER}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Results of both ranks for all cases, from one start of two processes."""
    return on_two_ranks(tmp_path_factory.mktemp("ranks"), _train_all)


@pytest.mark.parametrize("case", TOGETHER, ids=str)
def test_two_ranks_equal_one_process(case, ranks):
    alone = _train(case)
    own_normaliser = case.build().own_normaliser
    for step, (first, second, one) in enumerate(
        zip(*(rank[str(case)] for rank in ranks), alone, strict=True)
    ):
        assert first["state"] == second["state"], step
        for name, numbers in one["state"].items():
            if name.endswith("world_size"):
                assert (first["state"][name], numbers) == (2, 1)
                continue
            assert first["state"][name] == pytest.approx(numbers, rel=1e-12), step
        if getattr(case, "of_call", False):
            continue
        rows = torch.tensor(first["rows"] + second["rows"])
        torch.testing.assert_close(rows, torch.tensor(one["rows"]), msg=f"step {step}")
        mean = first["mean"] + second["mean"]
        if own_normaliser:
            # DDP averages gradients over ranks. The first step has no statistics yet.
            mean = mean / 2 if step else one["mean"]
        assert mean == pytest.approx(one["mean"], rel=1e-6), step
