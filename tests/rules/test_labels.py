"""A member is its value wherever text is expected, and is found by it; its label is what people read."""

from dashboard.rules.labels import LabelledEnum


class Colour(LabelledEnum):
    RED = "red", "Brick red"
    PLAIN = "plain"


def test_member_is_its_value_and_has_a_label() -> None:
    assert (Colour.RED, str(Colour.RED), Colour.RED.label) == ("red", "red", "Brick red")
    assert Colour("red") is Colour.RED
    assert Colour.PLAIN.label == ""
