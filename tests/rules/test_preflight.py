"""What a HEAD request says about a URL that deliveries are to be forwarded to."""

import pytest

from dashboard.rules.causes import Cause
from dashboard.rules.preflight import ALLOW_LIST, from_console, from_receiver, of_answer, of_failure, reached_words

PROVES = "That proves the address, not that it takes events."


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 404, 405, 501])
def test_handler_that_responds_at_all_is_fine(status: int) -> None:
    found = of_answer(status=status, latency_ms=31)
    assert (found.is_fine, found.asks, found.stops) == (True, False, False)
    assert found.words.startswith(f"The handler is reachable: it answered {status} in 31 ms to a request that is no")
    assert found.words.endswith(PROVES)


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (404, " 404 can mean that the URL's path is wrong, so check it."),
        (410, " 410 can mean that the URL's path is wrong, so check it."),
        (301, " 301 is a redirect, which deliveries do not follow, so check the URL."),
        (405, ""),
        (200, ""),
    ],
)
def test_words_say_what_the_answer_proves_and_hints_at_a_wrong_url(status: int, hint: str) -> None:
    begin = f"The handler is reachable: it answered {status} in 31 ms to a request that is no delivery."
    assert reached_words(status=status, latency_ms=31) == f"{begin}{hint} {PROVES}"


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
    reached = reached_words(status=405, latency_ms=31)
    assert from_receiver(fine).words == f"{reached} Checked from the receiver."
    assert from_console(fine).words == (
        f"{reached} The receiver did not answer, so this was checked from the console. "
        "That does not prove that the receiver reaches the handler."
    )
    assert from_console(down).words.endswith("The receiver did not answer, so this was checked from the console.")
    found = [from_receiver(fine), from_console(fine), from_receiver(down)]
    assert [one.is_proven for one in found] == [True, False, False]


def test_cause_that_only_a_newer_receiver_knows_is_a_persons_to_decide() -> None:
    assert of_failure(cause="eclipse", words="The handler: no.").asks
