"""Numbers of several methods on the command line."""

import pytest

from imb_det.calibration.options import numbers_by_method

NONE = {"temperature": {}, "norcal": {}, "threshold_recall": {}}


def test_each_number_reaches_its_method():
    methods = ["norcal", "temperature", "threshold_recall"]
    found = numbers_by_method(methods, ["threshold_recall=0.8", "norcal=0.6"])
    assert found == {
        **NONE,
        "norcal": dict(value=0.6),
        "threshold_recall": dict(value=0.8),
    }
    found = numbers_by_method(methods, ["threshold_recall=0.8"], ["0.2", "norcal=0.4"])
    assert found["norcal"] == dict(values=[0.2, 0.4])
    assert found["threshold_recall"] == dict(value=0.8)
    assert numbers_by_method(methods) == NONE
    # One that could be of no other, wherever the method stands.
    assert numbers_by_method(["norcal", "temperature"], ["1"])["norcal"] == {"value": 1}
    methods = ["logn", "norcal", "temperature"]
    assert numbers_by_method(methods, ["1"])["norcal"] == {"value": 1}
    assert numbers_by_method(["logn"], ["1"]) == {"logn": {"value": 1}}


def test_the_order_is_looked_at_before_anything_is_fitted():
    for methods in (["temperature", "norcal"], ["norcal", "threshold_f1", "logn"]):
        with pytest.raises(ValueError, match=f"{methods[-1]} changes logits"):
            numbers_by_method(methods)


@pytest.mark.parametrize(
    ("value", "values", "match"),
    [
        (["0.5"], [], "could be of norcal or threshold_recall; write norcal=0.5"),
        (["fracal=1"], [], "'fracal' is none of the methods"),
        (["norcal=x"], [], "must be numbers, such as 0.5 or norcal=0.5"),
        (["norcal=1", "norcal=2"], [], "`--value` is one number for each"),
    ],
)
def test_numbers_that_have_no_place(value, values, match):
    with pytest.raises(ValueError, match=match):
        numbers_by_method(["norcal", "threshold_recall"], value, values)
    with pytest.raises(ValueError, match=r"none of .* has an option"):
        numbers_by_method(["logn", "temperature"], ["1"])
