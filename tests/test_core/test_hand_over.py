"""Everyone who listens is told once, and again when there is something new."""

from torch import nn

from imb_det.core import HandOver, Stage, StageListener

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
