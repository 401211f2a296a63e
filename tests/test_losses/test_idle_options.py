"""An option that is set has an effect, or is an error."""

import pytest

from imb_det.registry import MODELS

SOFTMAX = dict(type="imb_det.CrossEntropyLoss", use_sigmoid=False)

#: Loss, what makes options idle, and these.
CASES = [
    ("EQLLoss", dict(tail=[0, 1]), dict(threshold=0.1)),
    ("EQLLoss", dict(tail={"bee": 1}), dict(num_images=10)),
    ("DropLoss", dict(tail=[0, 1]), dict(threshold=1.1e-3, num_images=10)),
    ("GumbelLoss", dict(drop=True, tail=[0, 1]), dict(threshold=0.1)),
    ("LDAMLoss", dict(margin=[0.1, 0.5]), dict(max_margin=0.3, min_count=1)),
    ("IIFLoss", dict(weight=[1.0, 2.0]), dict(min_count=1)),
    ("VSLoss", dict(prior=[3.0, 1.0]), dict(min_count=1)),
    ("VSLoss", dict(prior="rows"), dict(min_count=1)),
    ("FederatedLoss", dict(), dict(alpha=0.5)),
    ("FederatedLoss", dict(weight=[3.0, 1.0]), dict(power=1.0)),
    ("BalancedGroupSoftmaxLoss", dict(sampled=False), dict(seed=1)),
    (
        "LabelAwareSmoothingLoss",
        dict(loss=SOFTMAX, smoothing=[0.2, 0.1]),
        dict(head=0.4, by="images"),
    ),
]


@pytest.mark.parametrize(("kind", "idle", "options"), CASES)
def test_options_without_an_effect_are_refused(kind, idle, options):
    config = dict(type=f"imb_det.{kind}", **idle)
    MODELS.build(config)
    with pytest.raises(ValueError, match=f"{kind}: .*no effect") as error:
        MODELS.build({**config, **options})
    assert all(repr(name) in str(error.value) for name in options)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("EQLLoss", dict(threshold=0.1, num_images=10)),
        ("GumbelLoss", dict(drop=True, threshold=0.1)),
        ("LDAMLoss", dict(margin="images", max_margin=0.3, min_count=1)),
        ("VSLoss", dict(prior="images", min_count=1)),
        ("FederatedLoss", dict(gamma=2.0, alpha=0.5, power=1.0)),
        (
            "LabelAwareSmoothingLoss",
            dict(
                loss=SOFTMAX,
                smoothing=dict(stages=dict(plain=0.0, smooth="linear")),
                head=0.4,
            ),
        ),
    ],
)
def test_options_with_an_effect_are_taken(kind, arguments):
    MODELS.build(dict(type=f"imb_det.{kind}", **arguments))
