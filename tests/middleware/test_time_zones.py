"""Each answer is written in its reader's time zone, and nobody else's."""

import re
import threading
from collections.abc import Iterator

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from dashboard.middleware.time_zones import COOKIE, IN_UTC_COOKIE, write_in_readers_zone
from dashboard.models import Endpoint, User
from dashboard.rules.time_zones import readers_zone_name
from tests.factories import make_user
from tests.views.conftest import Browser, browser_of

PLACES = [("", "", "UTC"), ("", "Asia/Kolkata", "Asia/Kolkata"), ("Europe/Berlin", "Asia/Kolkata", "Europe/Berlin")]


def zone_of_page(text: str) -> str:
    return text.partition('data-zone="')[2].partition('"')[0]


@pytest.mark.parametrize(("chosen", "browsers", "shown"), PLACES)
def test_zone_is_the_chosen_one_else_the_browsers_else_utc(db: None, chosen: str, browsers: str, shown: str) -> None:
    browser = browser_of(make_user(time_zone=chosen))
    browser.client.cookies[COOKIE] = browsers
    assert zone_of_page(browser.read("/accounts/")) == shown


def test_page_that_shows_something_once_is_not_loaded_again_in_the_browsers_zone(ana: Browser) -> None:
    follows = "data-zone-follows"
    assert follows in ana.read("/accounts/")
    told = ana.submit("/accounts/time-zone/", time_zone="")
    assert ("Times are now shown in your browser" in told, follows in told) == (True, False)
    ana.submit("/accounts/time-zone/", time_zone="UTC")
    assert follows not in ana.read("/accounts/")
    refused = ana.client.post("/accounts/time-zone/", {"time_zone": "Nowhere"}).content.decode()
    assert ("Choose a time zone" in refused, follows in refused) == (True, False)


def switch_of(text: str) -> str:
    return text.partition('data-shows-zone="')[2].partition('"')[0]


def test_all_times_are_in_utc_while_it_is_switched_on_and_the_page_offers_the_way_back(db: None) -> None:
    browser = browser_of(make_user(time_zone="Europe/Berlin"))
    assert (zone_of_page(text := browser.read("/accounts/")), switch_of(text)) == ("Europe/Berlin", "UTC")
    browser.client.cookies[IN_UTC_COOKIE] = "1"
    text = browser.read("/accounts/")
    assert (zone_of_page(text), switch_of(text)) == ("UTC", "Europe/Berlin")
    assert "this browser shows all times in UTC" in text
    assert zone_of_page(browser.submit("/accounts/time-zone/", time_zone="Asia/Tokyo")) == "Asia/Tokyo"


@pytest.mark.parametrize("said", ["", "0", "yes", '"><script>'])
def test_other_values_switch_nothing(db: None, said: str) -> None:
    browser = browser_of(make_user(time_zone="Europe/Berlin"))
    browser.client.cookies[IN_UTC_COOKIE] = said
    assert zone_of_page(browser.read("/accounts/")) == "Europe/Berlin"


def test_reader_in_utc_has_nothing_to_switch(ana: Browser) -> None:
    ana.client.cookies[IN_UTC_COOKIE] = "1"
    assert (zone_of_page(text := ana.read("/accounts/")), switch_of(text)) == ("UTC", "")


def test_page_that_a_form_returned_is_not_loaded_again_for_another_zone(db: None) -> None:
    browser = browser_of(make_user(time_zone="Europe/Berlin"))
    refused = browser.client.post("/accounts/time-zone/", {"time_zone": "Nowhere"}).content.decode()
    assert (zone_of_page(refused), switch_of(refused)) == ("Europe/Berlin", "")


def test_page_that_is_switched_to_utc_does_not_follow_its_browser(ana: Browser) -> None:
    ana.client.cookies[COOKIE], ana.client.cookies[IN_UTC_COOKIE] = "Asia/Tokyo", "1"
    assert "data-zone-follows" not in ana.read("/accounts/")


@pytest.mark.parametrize(
    ("of_page", "shown"), [("Asia/Kolkata", "UTC.05:30"), ("UTC", "UTC"), ("Nowhere", "CES?T"), ("", "CES?T")]
)
def test_part_of_a_page_is_in_its_zone_whatever_another_tab_chose(
    support: User, endpoint: Endpoint, of_page: str, shown: str
) -> None:
    endpoint.status, endpoint.disabled_at = "DISABLED", timezone.now()
    endpoint.save()
    support.time_zone = "Europe/Berlin"
    support.save()
    part = browser_of(support).read(f"/endpoints/{endpoint.pk}/live/", **{"X-Time-Zone": of_page})
    assert re.search(rf"since (?:<time[^>]*>)?[0-9]{{2}}:[0-9]{{2}} {shown}\b", part)


def test_people_who_are_not_signed_in_have_their_browsers_zone(db: None, client: Client) -> None:
    client.cookies[COOKIE] = "America/New_York"
    assert zone_of_page(client.get("/accounts/login/").content.decode()) == "America/New_York"


@pytest.mark.parametrize("said", ["Nowhere/Gone", "../../etc/passwd", '"><script>', "x" * 4000, "Factory", "%00"])
def test_zone_that_a_cookie_makes_up_is_utc(ana: Browser, said: str) -> None:
    ana.client.cookies[COOKIE] = said
    assert zone_of_page(text := ana.read("/accounts/")) == "UTC"
    assert "Times are shown in UTC, because your browser's time zone is not known." in text
    ana.client.cookies[COOKIE] = "UTC"
    assert "Times are shown in your browser's time zone, UTC." in ana.read("/accounts/")


def test_chosen_zone_that_the_system_no_longer_knows_is_the_browsers(db: None) -> None:
    browser = browser_of(make_user(time_zone="Asia/Gone"))
    browser.client.cookies[COOKIE] = "Asia/Tokyo"
    assert zone_of_page(browser.read("/accounts/")) == "Asia/Tokyo"


def test_page_and_its_polled_part_are_in_the_readers_zone_and_have_other_etags(
    support: User, endpoint: Endpoint
) -> None:
    endpoint.status, endpoint.disabled_at = "DISABLED", timezone.now()
    endpoint.save()
    browser, path = browser_of(support), f"/endpoints/{endpoint.pk}/live/"
    utc = browser.client.get(path)
    support.time_zone = "Asia/Kolkata"
    support.save()
    kolkata = browser.client.get(path, headers={"If-None-Match": utc["ETag"]})
    assert (kolkata.status_code, "UTC+05:30" in kolkata.content.decode()) == (200, True)
    assert "UTC+05:30" in browser.read(f"/endpoints/{endpoint.pk}/")
    assert "UTC+05:30" not in utc.content.decode()
    assert browser.client.get(path, headers={"If-None-Match": kolkata["ETag"]}).status_code == 304


def test_requests_at_the_same_time_do_not_share_a_zone() -> None:
    both, seen = threading.Barrier(2, timeout=30), {}

    def view(request: HttpRequest) -> HttpResponse:
        both.wait()
        seen[request.COOKIES[COOKIE]] = (readers_zone_name(), timezone.get_current_timezone_name())
        both.wait()
        return HttpResponse()

    answer = write_in_readers_zone(view)
    threads = [threading.Thread(target=answer, args=(asked(name),)) for name in ("Asia/Kolkata", "America/New_York")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == {name: (name, name) for name in ("Asia/Kolkata", "America/New_York")}
    assert readers_zone_name() == timezone.get_current_timezone_name() == "UTC"


def test_what_is_streamed_after_the_view_is_in_utc() -> None:
    def lines() -> Iterator[str]:
        yield readers_zone_name()

    def view(_request: HttpRequest) -> HttpResponseBase:
        return StreamingHttpResponse(lines())

    response = write_in_readers_zone(view)(asked("Asia/Kolkata"))
    assert isinstance(response, StreamingHttpResponse)
    assert b"".join(response) == b"UTC"  # type: ignore[arg-type]


def test_view_that_fails_leaves_no_zone_behind() -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        raise KeyError

    with pytest.raises(KeyError):
        write_in_readers_zone(view)(asked("Asia/Kolkata"))
    assert readers_zone_name() == timezone.get_current_timezone_name() == "UTC"


def asked(zone: str) -> HttpRequest:
    request = HttpRequest()
    request.COOKIES[COOKIE] = zone
    return request
