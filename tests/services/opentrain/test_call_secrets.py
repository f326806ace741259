"""No exception and no log line contains a token or signing secret; each call logs one line."""

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from dashboard.services import opentrain
from dashboard.services.opentrain import (
    OpenTrainError,
    OutcomeUnknown,
)
from tests.services import misbehaving as bad
from tests.services.misbehaving import Behaviour
from tests.services.opentrain_samples import (
    ENDPOINT,
    REQUEST_ID,
    TOKEN,
    envelope,
    fails,
    get,
    ok,
    write,
)


def create() -> object:
    return opentrain.create_endpoint(token=TOKEN, url="https://a.example.com/", event_types=["contract.ended"])


LEAKY: dict[str, Behaviour] = {
    "silent": bad.silent,
    "reset": bad.reset_after_request,
    "garbled": bad.raw(f"nonsense {TOKEN.reveal()}\r\n\r\n".encode()),
    "cut": bad.raw(bad.head(200, "Content-Length: 99", f"X-Request-Id: {TOKEN.reveal()}") + TOKEN.reveal().encode()),
    "echo": envelope(400, "BAD_REQUEST", f"You sent {TOKEN.reveal()}.", details={"token": TOKEN.reveal()}),
    "echo in the ID": envelope(500, "INTERNAL_ERROR", requestId=TOKEN.reveal()),
    "echo as HTML": bad.answer(200, f"<html>{TOKEN.reveal()}".encode()),
    "refused": envelope(401, "UNAUTHORIZED"),
    "wrong type": ok({"webhookEndpoint": ENDPOINT | {"consecutiveFailures": TOKEN.reveal()}}),
    "secret beside a wrong type": ok({"secret": "whsec_c4n4ry", "message": 1, "webhookEndpoint": {}}),
}


@pytest.mark.parametrize("behaviour", LEAKY.values(), ids=LEAKY)
@pytest.mark.parametrize("call", [create, get])
def test_secret_shows_in_no_exception_and_no_log(
    serve: Any, hurry: Any, caplog: pytest.LogCaptureFixture, behaviour: Behaviour, call: Callable[[], object]
) -> None:
    caplog.set_level(logging.DEBUG)
    if behaviour is bad.silent:
        hurry()
    with serve(behaviour), pytest.raises(OpenTrainError) as caught:
        call()
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    ours = traceback.TracebackException.from_exception(error, capture_locals=True)
    del ours.stack[0]  # this test's own frame, which holds the secrets
    shown = "".join(ours.format()) + repr(error) + repr(error.args) + repr(vars(error)) + caplog.text
    assert "c4n4ry" not in shown


def test_each_call_leaves_one_line_in_the_log_and_no_body(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(bad.answer(502), ok({"webhookEndpoint": ENDPOINT})):
        get()
    [record] = caplog.records
    assert (record.name, record.levelname) == ("dashboard.services.opentrain", "INFO")
    line = re.sub(r"in \d+ ms", "in N ms", record.getMessage())
    assert line == f"GET /webhook-endpoints/{{id}}: 200 in N ms, tries: 2, request {REQUEST_ID}"


def test_call_without_an_answer_logs_its_cause(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(bad.reset_after_request):
        fails(write, OutcomeUnknown)
    [record] = caplog.records
    line = re.sub(r"in \d+ ms", "in N ms", record.getMessage())
    assert line == "PATCH /webhook-endpoints/{id}: connection in N ms, tries: 1, request unknown"
