"""The table of all installs: its filters, sorting and pages."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Install, User
from dashboard.models.installs import InstallQuerySet
from dashboard.rules.installs import Trouble
from dashboard.views import install_list
from tests.factories import make_endpoint, make_install
from tests.views.conftest import Browser

LIST = reverse("install-list")
MINUTE = timedelta(minutes=1)


def names(page: str) -> list[str]:
    return re.findall(r'class="row-link" href="[^"]*"><bdi>([^<]*)', page)


@pytest.fixture
def fleet(support: User) -> None:
    now = timezone.now()
    for number, (name, endpoints) in enumerate((("Beta", 1), ("Alpha", 3), ("Gamma", 2))):
        install = make_install(name=name, checked_at=now - number * MINUTE)
        for _ in range(endpoints):
            make_endpoint(install=install, consecutive_failures=8 if name == "Gamma" else 0)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["Gamma", "Alpha", "Beta"]),
        ("?sort=name", ["Alpha", "Beta", "Gamma"]),
        ("?sort=-name", ["Gamma", "Beta", "Alpha"]),
        ("?sort=endpoints", ["Alpha", "Gamma", "Beta"]),
        ("?sort=checked", ["Gamma", "Alpha", "Beta"]),
        ("?sort=token&show=%00&page=-1", ["Gamma", "Alpha", "Beta"]),
        ("?show=need", ["Gamma"]),
        ("?q=a&sort=name", ["Alpha", "Beta", "Gamma"]),
        ("?q=ALPH", ["Alpha"]),
        ("?page=99999999999999999999", ["Gamma", "Alpha", "Beta"]),
    ],
)
def test_fleet_is_what_its_address_asks_for(ana: Browser, query, expected) -> None:
    assert names(ana.read(LIST + query)) == expected


@pytest.mark.usefixtures("fleet")
def test_fleet_is_turned_page_by_page(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.install_list.PAGE", 2)
    first = ana.read(f"{LIST}?sort=name")
    assert names(first) == ["Alpha", "Beta"]
    assert "1 to 2 of 3" in first
    [forward] = re.findall(r'rel="next" href="([^"]*)"', first)
    second = ana.read(forward.replace("&amp;", "&"))
    assert names(second) == ["Gamma"]
    assert 'rel="next"' not in second
    assert names(ana.read(f"{LIST}?sort=name&page=9")) == ["Gamma"]
    searched = ana.read(f"{LIST}?sort=name&q=a&page=2")
    assert (names(searched), "3 to 3 of 3" in searched) == (["Gamma"], True)
    assert names(ana.read(f"{LIST}?sort=name&q=a&page=9")) == ["Gamma"]
    last = ana.read(f"{LIST}?sort=name&page=2")
    assert (names(last), "3 to 3 of 3" in last) == (["Gamma"], True)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(("size", "counts"), [(3, 1), (4, 0)])
def test_page_that_is_not_full_tells_how_many_there_are(
    ana: Browser, monkeypatch: pytest.MonkeyPatch, size: int, counts: int
) -> None:
    monkeypatch.setattr("dashboard.views.install_list.PAGE", size)
    with CaptureQueriesContext(connection) as captured:
        assert names(ana.read(f"{LIST}?sort=name")) == ["Alpha", "Beta", "Gamma"]
    counted = [one["sql"] for one in captured if 'COUNT(*) AS "__count" FROM "dashboard_install"' in one["sql"]]
    assert len(counted) == counts


@pytest.mark.usefixtures("fleet")
def test_disconnected_install_has_no_states_of_endpoints(ana: Browser) -> None:
    install = make_install(name="Gone", disconnected_at=timezone.now(), disconnected_by_name="ana")
    make_endpoint(install=install, consecutive_failures=8)
    page = ana.read(f"{LIST}?show=disconnected")
    assert names(page) == ["Gone"]
    assert "At risk" not in page


def test_install_that_comes_before_its_page_is_counted_is_shown(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page 2 is empty when it is read, and no longer when it is counted."""
    monkeypatch.setattr(install_list, "PAGE", 2)
    for name in ("Alpha", "Beta"):
        make_install(name=name)
    before_counting(monkeypatch, lambda: make_install(name="Gamma"))
    page = ana.read(f"{LIST}?sort=name&page=2")
    assert (names(page), "3 to 3 of 3" in page) == (["Gamma"], True)


def test_page_never_shows_more_installs_than_it_says(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_list, "PAGE", 2)
    first, second = make_install(name="Alpha"), make_install(name="Beta")
    before_counting(monkeypatch, lambda: Install.objects.filter(pk__in=[first.pk, second.pk]).delete())
    page = ana.read(f"{LIST}?sort=name&show=")
    assert names(page) == ["Alpha", "Beta"]
    assert " of 0" not in page


def before_counting(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Have something change between what a page reads and what it counts."""
    count = InstallQuerySet.count

    def changed(installs: InstallQuerySet) -> int:
        monkeypatch.setattr(InstallQuerySet, "count", count)
        change()
        return count(installs)

    monkeypatch.setattr(InstallQuerySet, "count", changed)


@pytest.mark.usefixtures("fleet")
def test_fleet_says_by_what_it_is_sorted_and_keeps_the_search(ana: Browser) -> None:
    page = ana.read(f"{LIST}?q=a&sort=name")
    assert 'aria-sort="ascending"><a href="/installs/?q=a&amp;sort=-name">Install ↑</a>' in page


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("", "State ↑"), ("?sort=endpoints", "Endpoints ↓"), ("?sort=checked", "Last checked ↑"),
        ("?sort=-name", "Install ↓"),
    ],
)  # fmt: skip
def test_fleet_marks_the_column_that_it_is_sorted_by_alone(ana: Browser, query: str, marked: str) -> None:
    page = ana.read(LIST + query)
    assert re.findall(r"<th [^>]*aria-sort[^>]*><a [^>]*>([^<]*)</a>", page) == [marked]
    assert re.findall(r'<th scope="col" ?>([^<]+)</th>', page) == ["OpenTrain says", "Last 24 h"]


def test_fleet_counts_each_installs_endpoints_and_says_what_they_are(ana: Browser) -> None:
    install = make_install(last_error="Refused.", last_error_code=Trouble.TOKEN_REFUSED)
    for failures in (0, 0, 8):
        make_endpoint(install=install, consecutive_failures=failures)
    cells = re.findall(r'<td data-label="([^"]*)"[^>]*>(.*?)</td>', ana.read(LIST), re.DOTALL)
    said = {label: " ".join(re.sub(r"<[^>]+>", " ", text).split()) for label, text in cells}
    assert said["Endpoints"] == "3"
    assert re.match(r"Token refused At risk . 1 Active . 2 last seen", said["State"])


def test_fleet_with_a_filter_that_fits_nothing_says_so(ana: Browser) -> None:
    make_install(last_error_code="")
    make_endpoint(install=Install.objects.get())
    need = ana.read(f"{LIST}?show=need")
    elsewhere = "Failed deliveries and contracts that need attention are not in this table"
    assert "No install is in trouble itself, and no endpoint is disabled, at risk or failing." in need
    assert elsewhere in need
    assert elsewhere not in ana.read(LIST)
    assert "OpenTrain answered for every install" in ana.read(f"{LIST}?show=unheard")
