"""What a HEAD request says about a URL that deliveries are to be forwarded to."""

import pytest

from dashboard.rules.causes import Cause
from dashboard.rules.preflight import ALLOW_LIST, from_console, from_receiver, of_answer, of_failure


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 404, 405, 501])
def test_handler_that_responds_at_all_is_fine(status: int) -> None:
    found = of_answer(status=status, latency_ms=31)
    assert (found.is_fine, found.asks, found.stops) == (True, False, False)
    assert found.words == f"The handler responds to Redeliver ({status} in 31 ms)."


def test_handler_that_forbids_it_may_let_in_opentrains_addresses_only() -> None:
    found = of_answer(status=403, latency_ms=31)
    assert found.asks
    assert ALLOW_LIST in found.words


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_failure_at_head_is_a_persons_to_decide(status: int) -> None:
    found = of_answer(status=status, latency_ms=31)
    assert (found.is_fine, found.asks, found.stops) == (False, True, False)
    assert "It may still take deliveries, which are POST." in found.words


@pytest.mark.parametrize("cause", [Cause.DENIED, Cause.ADDRESS, Cause.LOOP])
def test_url_that_redeliver_never_calls_stops_it(cause: Cause) -> None:
    assert of_failure(cause=cause, words="The handler: no.").stops


@pytest.mark.parametrize("cause", [Cause.TLS, Cause.DNS, Cause.REFUSED, Cause.TIMEOUT, Cause.CONNECTION])
def test_handler_that_cannot_be_reached_is_a_persons_to_decide(cause: Cause) -> None:
    found = of_failure(cause=cause, words="The handler: no.")
    assert found.asks
    assert found.words.startswith("The handler: no. Deliveries through Redeliver would fail")


def test_words_say_from_where_it_was_checked() -> None:
    fine, down = of_answer(status=405, latency_ms=31), of_failure(cause=Cause.TLS, words="The handler: no.")
    assert from_receiver(fine).words == "The handler responds to Redeliver (405 in 31 ms). Checked from the receiver."
    assert from_console(fine).words == (
        "The handler responds to Redeliver (405 in 31 ms). The receiver did not answer, so this was checked from the "
        "console. That does not prove that the receiver reaches the handler."
    )
    assert from_console(down).words.endswith("The receiver did not answer, so this was checked from the console.")
    found = [from_receiver(fine), from_console(fine), from_receiver(down)]
    assert [one.is_proven for one in found] == [True, False, False]


def test_cause_that_only_a_newer_receiver_knows_is_a_persons_to_decide() -> None:
    assert of_failure(cause="eclipse", words="The handler: no.").asks
