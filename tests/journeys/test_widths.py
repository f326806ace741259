"""Pages in states that the demo seldom has: the widest rows that can come, from phones to 4K, and runs of a batch."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.actions.installs.titles import tell_apart
from dashboard.models import Endpoint
from tests.factories import (
    make_attempt,
    make_delivery,
    make_endpoint,
    make_install,
    make_refused_attempt,
    make_run,
    make_user,
)
from tests.journeys.acting import overflows, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("widths")]
LONG = "organization.contract.participant.reinstated_by_administrator"
ATTEMPTS = 14


@pytest.fixture
def endpoint() -> Endpoint:
    """An endpoint with deliveries in each state that has long words, each after more attempts than are drawn."""
    now = timezone.now()
    install = make_install(name="Acme Labs of Upper and Lower Annotation " * 4, checked_at=now)
    endpoint = make_endpoint(
        install=install, handler_url=f"https://acme.example.com/hooks/{'opentrain-' * 20}", snapshot_at=now
    )
    failed = {"last_ok": False, "last_cause": "unkept", "last_latency_ms": 10_000}
    for number, columns in enumerate(
        (
            {"last_attempt_at": now, "attempts_in_round": 2},  # retrying
            {"last_attempt_at": now - timedelta(days=2), "attempts_in_round": 2},  # overdue
            {"last_attempt_at": now - timedelta(days=2), "attempts_in_round": 5},  # failed
            {"last_attempt_at": now - timedelta(days=2), "attempts_in_round": 5, "requested_at": now},
        )
    ):
        delivery = make_delivery(
            endpoint=endpoint,
            opentrain_id=f"dlv_{'0' * 40}{number}",
            event_type=LONG,
            resource_id="contract_" + "x" * 180,
            first_received_at=now - timedelta(days=3),
            attempt_count=ATTEMPTS,
            last_signature="unverified",
            **failed | columns,
        )
        for attempt in range(ATTEMPTS):
            at = now - timedelta(days=3, minutes=-attempt)
            make_attempt(delivery=delivery, number=attempt + 1, ok=False, received_at=at)
    make_refused_attempt(endpoint=endpoint, received_at=now)
    return endpoint


@pytest.fixture
def page(page_as: Callable[..., Page], endpoint: Endpoint) -> Page:
    page = page_as(make_user(role="support"))
    page.goto("/")
    return page


@pytest.mark.parametrize("path", ["/endpoints/{}/", "/endpoints/{}/deliveries/", "/"])
def test_no_page_is_wider_than_the_window_with_the_widest_rows(page: Page, endpoint: Endpoint, path: str) -> None:
    page.goto(path.format(endpoint.pk))
    assert overflows(page) == []


def test_run_of_a_batch_has_nothing_that_axe_finds(page: Page, endpoint: Endpoint) -> None:
    run = make_run(endpoint=endpoint, kind="bulk", batch=uuid.uuid4())
    page.goto(f"/runs/{run.pk}/")
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    assert found + violations(page) == []
    assert overflows(page) == []


_CUT = r"""tables => tables.flatMap((table) => {
    const edge = table.closest(".card").getBoundingClientRect().right;
    const pen = document.createElement("canvas").getContext("2d");
    const isBroken = (heading) => {
        const { font, paddingLeft, paddingRight } = getComputedStyle(heading);
        pen.font = font;
        const room = heading.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
        const words = heading.textContent.trim().toUpperCase().split(/\s+/);
        return heading.checkVisibility() && words.some((word) => pen.measureText(word).width > room + 1);
    };
    const sticksOut = (part) => part.getBoundingClientRect().right > edge + 1;
    const found = [...table.querySelectorAll("th")].filter(isBroken);
    found.push(...[...table.querySelectorAll("td > *")].filter(sticksOut));
    return found.map((one) => one.textContent.trim().slice(0, 40));
})"""
"""The headings of tables with a word that is wider than its column, and what sticks out of the card."""


def test_bar_is_one_line_on_a_small_laptop(page: Page) -> None:
    page.set_viewport_size({"width": 1024, "height": 900})
    assert page.locator(".bar").bounding_box()["height"] < 60


@pytest.mark.parametrize("width", [1024, 1280, 1920])
def test_tables_of_installs_and_endpoints_stay_in_their_cards_and_break_no_word(
    page: Page, endpoint: Endpoint, width: int
) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(disabled_at=timezone.now(), status="DISABLED")
    page.set_viewport_size({"width": width, "height": 900})
    found = {}
    for path in ("/", f"/installs/{endpoint.install_id}/", "/installs/"):
        page.goto(path)
        found[path] = page.locator("main table").evaluate_all(_CUT)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


MENUS = ("/installs/{install}/", "/endpoints/{endpoint}/", "/endpoints/{endpoint}/deliveries/", "/")


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_menus_open_inside_the_window(page: Page, endpoint: Endpoint, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    outside = []
    for path in MENUS:
        page.goto(path.format(install=endpoint.install_id, endpoint=endpoint.pk))
        for menu in page.locator("details.menu").all():
            menu.locator("summary").click()
            box = menu.locator(".menu-items").bounding_box()
            if box["x"] < 0 or box["x"] + box["width"] > width:
                outside.append((path, box))
            page.keyboard.press("Escape")
    assert outside == []


@pytest.mark.parametrize("width", [1280, 1440, 1920])
def test_list_shows_the_end_of_a_resource_id_beside_its_event(page: Page, width: int) -> None:
    """Where no delivery has a next attempt: that has a column."""
    install = make_install(name="Beta Data", checked_at=timezone.now())
    for endpoint in (make_endpoint(install=install), make_endpoint(install=install)):
        for one in ("contract.ended", "contract.started", "milestone.funded"):
            make_delivery(endpoint=endpoint, event_type=one, resource_id=f"con_{uuid.uuid4().hex}")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/deliveries/?install=Beta+Data")
    cells = page.locator("td.c-event")
    assert cells.count() == 6
    assert cells.evaluate_all("all => all.filter((one) => one.scrollWidth > one.clientWidth).length") == 0


@pytest.mark.parametrize("width", [1200, 1280])
def test_event_types_of_opentrain_stay_whole_where_there_is_room(page: Page, endpoint: Endpoint, width: int) -> None:
    shown, *_ = (
        make_delivery(endpoint=endpoint, resource_id="res_1", event_type=one)
        for one in ("project_link.created", "project_link.removed", "milestone.budget_depleted")
    )
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"/deliveries/{shown.pk}/")
    names = page.locator("#same-heading ~ table .row-link bdi")
    lines = names.evaluate_all("all => all.map((one) => one.getClientRects().length)")
    assert lines == [1, 1]


@pytest.mark.parametrize("width", [320, 349, 360, 375, 480, 560, 768])
@pytest.mark.parametrize("count", ["12", "1,000+"])
def test_navigation_shows_every_page_beside_a_long_count(page: Page, width: int, count: str) -> None:
    shown = f'<span data-inbox-count="{count}" aria-hidden="true">{count}</span>'
    page.route("**/inbox/count/", lambda asked: asked.fulfill(body=shown, content_type="text/html"))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/activity/")
    expect(page.locator("#inbox-count")).to_have_text(count)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    links = page.locator(".bar-nav a")
    outside = "all => all.filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.textContent)"
    assert links.evaluate_all(outside) == []
    if count == "12":
        lines = links.evaluate_all("all => new Set(all.map((one) => one.getBoundingClientRect().top)).size")
        assert lines == 1


@pytest.mark.parametrize("width", [1280, 1024, 375])
def test_lists_show_states_and_what_tells_endpoints_apart_whole(page: Page, endpoint: Endpoint, width: int) -> None:
    twin = make_endpoint(install=endpoint.install, handler_url=endpoint.handler_url, opentrain_id="whe_twin")
    make_delivery(endpoint=twin, first_received_at=timezone.now())
    make_refused_attempt(endpoint=twin)
    make_run(endpoint=twin)
    tell_apart(install_id=endpoint.install_id)
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("/deliveries/", "/deliveries/?signature=refused", "/runs/"):
        page.goto(path)
        marks = page.locator(".of-endpoint > a > span")
        assert marks.count() > 0, path
        cut = """all => all.filter((one) => {
          const [mark, cell] = [one, one.closest("td")].map((element) => element.getBoundingClientRect());
          return mark.width < 20 || mark.right > cell.right || mark.left < cell.left;
        }).map((one) => one.textContent)"""
        assert marks.evaluate_all(cut) == [], path
        chips = page.locator(".table .c-state .chip")
        assert chips.evaluate_all(cut) == [], path
