"""Checks of handlers that the console asks of receivers: one receiver makes each, and nothing of it stays."""

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now

from dashboard.actions import handler_checks
from dashboard.actions.handler_checks import STALE, ask, carry_out, take
from dashboard.models import Endpoint, HandlerCheck
from dashboard.rules.causes import Cause
from dashboard.rules.preflight import reached_words
from dashboard.services import handler
from dashboard.services.handler import HandlerAnswer, HandlerFailed
from tests.factories import make_endpoint, make_endpoints, make_install
from tests.receiver.tables import parameters

pytestmark = pytest.mark.django_db

URL = "https://acme.example.com/in?api_key=s3cr3t"
FINE = HandlerAnswer(405, (), b"", 31)
TLS = HandlerFailed(cause=Cause.TLS, words="The handler: the TLS connection failed.")


@pytest.fixture
def direct() -> Endpoint:
    return make_endpoint(url=URL)


@pytest.fixture
def database() -> "psycopg.Connection[tuple[object, ...]]":
    """The connection of the test, as a receiver uses its own."""
    connection.ensure_connection()
    return connection.connection


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_checks, "TAKEN_WITHIN_S", 30.0)


def probing(monkeypatch: pytest.MonkeyPatch, answer: HandlerAnswer | HandlerFailed) -> list[str]:
    urls: list[str] = []

    def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
        assert 0 < deadline_s <= 5
        urls.append(url)
        if isinstance(answer, HandlerFailed):
            raise answer
        return answer

    monkeypatch.setattr(handler, "probe", probe)
    return urls


def receiving(database: "psycopg.Connection[tuple[object, ...]]") -> Callable[[float], None]:
    """Return what makes all checks while the console waits."""

    def pause(_seconds: float) -> None:
        for check_id, url in take(database, name="web1-a"):
            carry_out(check_id, url)

    return pause


def test_receiver_checks_the_endpoints_url_and_the_row_is_gone(
    direct: Endpoint, database: "psycopg.Connection[tuple[object, ...]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = probing(monkeypatch, FINE)
    found = ask([direct], pause=receiving(database))
    assert found[direct.pk].words == f"{reached_words(status=405, latency_ms=31)} Checked from the receiver."
    assert (found[direct.pk].is_fine, found[direct.pk].is_from_receiver) == (True, True)
    assert urls == [URL]
    assert not HandlerCheck.objects.exists()


def test_failure_keeps_its_cause_and_its_words(
    direct: Endpoint, database: "psycopg.Connection[tuple[object, ...]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    probing(monkeypatch, TLS)
    found = ask([direct], pause=receiving(database))[direct.pk]
    assert (found.asks, found.is_from_receiver) == (True, True)
    assert found.words.startswith("The handler: the TLS connection failed.")
    assert found.words.endswith("Checked from the receiver.")
    probing(monkeypatch, HandlerFailed(cause=Cause.DENIED, words="The handler: its address is not public."))
    assert ask([direct], pause=receiving(database))[direct.pk].stops


def test_secret_in_what_is_said_of_a_failure_is_not_stored(direct: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    probing(monkeypatch, HandlerFailed(cause=Cause.CONNECTION, words=f"The handler: {URL} broke."))
    check = HandlerCheck.objects.create(endpoint=direct)
    carry_out(check.pk, URL)
    assert "s3cr3t" not in str(HandlerCheck.objects.filter(pk=check.pk).extra({"raw": "words"}).values())


def test_check_is_taken_once(direct: Endpoint, database: "psycopg.Connection[tuple[object, ...]]") -> None:
    check = HandlerCheck.objects.create(endpoint=direct)
    assert take(database, name="web1-a") == [(check.pk, URL)]
    assert take(database, name="web1-b") == []
    check.refresh_from_db()
    assert check.taken_by == "web1-a"


@pytest.mark.django_db(transaction=True)
def test_check_that_one_receiver_is_about_to_take_is_neither_taken_nor_waited_for_by_another(direct: Endpoint) -> None:
    check = HandlerCheck.objects.create(endpoint=direct)
    given = parameters(str(connection.settings_dict["NAME"])) | {"options": "-c lock_timeout=5s"}
    with psycopg.connect(**given) as first, psycopg.connect(**given) as second:
        assert take(first, name="web1-a") == [(check.pk, URL)]
        assert take(second, name="web1-b") == []
        first.commit()
        assert take(second, name="web1-b") == []


def test_check_that_nobody_waits_for_is_not_taken_and_goes_with_the_next(
    direct: Endpoint, database: "psycopg.Connection[tuple[object, ...]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    left = HandlerCheck.objects.create(endpoint=direct)
    HandlerCheck.objects.update(asked_at=Now() - STALE - timedelta(seconds=1))
    assert take(database, name="web1-a") == []
    probing(monkeypatch, FINE)
    ask([direct], pause=receiving(database))
    assert not HandlerCheck.objects.filter(pk=left.pk).exists()


def test_without_a_receiver_nothing_is_known_and_nothing_stays(
    direct: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_checks, "TAKEN_WITHIN_S", 0.0)
    assert ask([direct]) == {}
    assert not HandlerCheck.objects.exists()


@pytest.mark.parametrize("limit", ["ANSWERED_WITHIN_S", "ALL_WITHIN_S"])
def test_receiver_that_takes_a_check_and_ends_is_not_waited_for(
    direct: Endpoint, database: "psycopg.Connection[tuple[object, ...]]", monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(handler_checks, limit, 0.0)
    taken: list[object] = []
    assert ask([direct], pause=lambda _seconds: taken.extend(take(database, name="web1-a"))) == {}
    assert len(taken) == (1 if limit == "ANSWERED_WITHIN_S" else 0)


def test_answers_that_came_count_where_others_did_not(
    database: "psycopg.Connection[tuple[object, ...]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_checks, "ANSWERED_WITHIN_S", 0.0)
    probing(monkeypatch, FINE)
    install = make_install()
    make_endpoints(install=install, count=2)
    first, second = Endpoint.objects.filter(install=install).order_by("pk")

    def pause(_seconds: float) -> None:
        [(check_id, url), _] = take(database, name="web1-a")
        carry_out(check_id, url)

    assert ask([first, second], pause=pause).keys() == {first.pk}


def test_answer_that_comes_too_late_makes_no_row(direct: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    probing(monkeypatch, FINE)
    carry_out(4711, URL)
    assert not HandlerCheck.objects.exists()
