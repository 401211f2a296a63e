"""The example of a loss of one's own in `configs/README.md`."""

import re

import torch

from imb_det.registry import MODELS


def test_it_has_the_gradient_of_its_loss(repo_root):
    blocks = re.findall(
        r"```python\n(.*?)```", (repo_root / "configs" / "README.md").read_text(), re.S
    )
    [code] = [block for block in blocks if "SquaredLoss" in block]
    names = {}
    exec(code, names)
    try:
        loss = MODELS.build(dict(type="imb_det.SquaredLoss", reduction="sum"))
    finally:
        MODELS.module_dict.pop("SquaredLoss")
    logits = torch.linspace(-2, 2, 12, dtype=torch.double).reshape(4, 3)
    labels = torch.tensor([0, 1, 3, 2])
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.requires_grad_())
    one_hot = torch.nn.functional.one_hot(labels, 4)[:, :3].double()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(logits, one_hot, reduction="none") ** 2
    assert torch.allclose(loss(logits, labels), expected.sum())
