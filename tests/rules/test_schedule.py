"""OpenTrain's own pace."""

from tests.rules.test_deliveries import OPENTRAIN


def test_schedule_of_opentrain_gives_a_delivery_five_attempts() -> None:
    assert OPENTRAIN.attempts == 5
