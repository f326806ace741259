"""Random answers: a valid one, damaged at random (the seed is the test's name)."""

import json
import random
from typing import Any

import pytest

from dashboard.services import opentrain
from dashboard.services.opentrain import OpenTrainError
from tests.services import misbehaving as bad
from tests.services.opentrain_samples import ENDPOINT, READ, TOKEN

GOOD = bad.head(
    200, "Content-Type: application/json", "Set-Cookie: a=b; Domain=[", "Retry-After: 0", "Transfer-Encoding: chunked"
) + bad.chunked(json.dumps({"webhookEndpoint": ENDPOINT}).encode())
NOISE = [
    b"\r\n",
    b"\n",
    b"\x00",
    b"-1",
    b"9" * 11,
    b": ",
    b"\xff",
    b"gzip",
    b"302",
    b"[" * 50,
    b"Location: http://[\r\n",
]


def damaged(data: bytes, *, chance: random.Random) -> bytes:
    """Return the bytes with one to six places cut out, overwritten or filled with noise."""
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(data) + 1)
        data = data[:start] + chance.choice([b"", *NOISE]) + data[start + chance.randrange(12) :]
    return data


def test_undamaged_answer_is_read(serve: Any) -> None:
    with serve(bad.raw(GOOD)):
        assert opentrain.get_endpoint(token=TOKEN, endpoint_id="whe_1") == READ


@pytest.mark.parametrize("seed", range(100))
def test_damaged_answer_is_read_or_refused_in_words(serve: Any, seed: int) -> None:
    said = "read"
    with serve(bad.raw(damaged(GOOD, chance=random.Random(seed)))) as server:  # noqa: S311 - noise
        try:
            opentrain.get_endpoint(token=TOKEN, endpoint_id="whe_1")
        except OpenTrainError as error:  # any other exception fails the test
            said = str(error)
    assert said.isprintable()
    assert 1 <= len(server.requests) <= 3
