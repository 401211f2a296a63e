"""Everyone who listens is told once, and again when there is something new."""

import pytest
from torch import nn

from imb_det.core import FindingsError, HandOver, Stage, StageListener

PLAIN, NEXT = (Stage(name, i, ("a", "b")) for i, name in enumerate("ab"))


class Listener:
    def __init__(self):
        self.heard = []

    def set_stage(self, stage):
        self.heard.append(stage)


class Module(nn.Module, Listener):
    def __init__(self):
        nn.Module.__init__(self)
        Listener.__init__(self)


class Equal(Listener):
    """Two of them are equal, and cannot be told apart by `==` or `hash`."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def test_news_are_told_once_to_each():
    hand_over = HandOver(StageListener, "set_stage")
    first, second, module = Equal(), Equal(), Module()
    everyone = [first, None, "text", second, nn.Identity(), module, first]
    assert hand_over(everyone, PLAIN) == [first, second, module]
    assert hand_over(everyone, Stage("a", 0, ("a", "b"))) == []
    late = Listener()
    assert hand_over([*everyone, late], PLAIN) == [late]
    assert len(hand_over([*everyone, late], NEXT)) == 4
    assert hand_over([first], PLAIN) == [first]
    assert first.heard == [PLAIN, NEXT, PLAIN]
    assert second.heard == module.heard == late.heard == [PLAIN, NEXT]


def test_a_new_component_at_the_place_of_an_old_one_is_told():
    hand_over = HandOver(StageListener, "set_stage")
    for _ in range(50):  # CPython would give the same number again
        component = Listener()
        assert hand_over([component], PLAIN) == [component]
        del component


def test_all_who_refuse_are_named_in_one_error():
    class Refusing(Listener):
        def set_stage(self, stage):
            raise ValueError(f"{stage.name} is not for {self.__class__.__name__}")

    class Other(Refusing):
        pass

    hand_over = HandOver(StageListener, "set_stage")
    everyone = [Refusing(), Listener(), Refusing(), Other()]
    with pytest.raises(FindingsError, match="2 errors") as error:
        hand_over(everyone, PLAIN)
    assert everyone[1].heard == [PLAIN]
    assert str(error.value).startswith("`set_stage`: 2 errors")
    assert "Refusing: a is not for Refusing" in str(error.value)
    assert "Other: a is not for Other" in str(error.value)
    with pytest.raises(FindingsError):  # they do not count as told
        hand_over(everyone, PLAIN)
    assert everyone[1].heard == [PLAIN]
