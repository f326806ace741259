"""Pages of an install's endpoints: their order, and what the filters keep."""

import pytest

from dashboard.models import Endpoint, Install
from dashboard.queries.endpoint_lists import EndpointCriteria, Show, page
from tests.factories import make_delivery, make_endpoint, make_failed_delivery, make_install

pytestmark = pytest.mark.django_db
KEY = "Qx7" * 14 + "a"


@pytest.fixture
def install() -> Install:
    return make_install()


def ids(install: Install, *, number: int = 1, size: int = 100, text: str = "", show: Show = Show.ALL) -> list[int]:
    install.refresh_from_db()
    return list(page(install=install, criteria=EndpointCriteria(text, show), number=number, size=size).ids)


def test_endpoints_come_worst_first_then_with_failed_deliveries_then_newest(install: Install) -> None:
    older, newer = make_endpoint(install=install), make_endpoint(install=install)
    failed = make_endpoint(install=install)
    paused = make_endpoint(install=install, status="DISABLED")
    disabled = make_endpoint(install=install, status="DISABLED", consecutive_failures=10)
    unknown = make_endpoint(install=install, status="HIBERNATING")
    make_endpoint(install=install, opentrain_id=None)
    make_endpoint(install=install, deleted_at=disabled.created_at)
    make_endpoint()
    make_failed_delivery(endpoint=failed)
    make_delivery(endpoint=older)
    worst_first = [one.pk for one in (disabled, unknown, paused, failed, newer, older)]
    assert ids(install) == worst_first
    assert [ids(install, number=number, size=4) for number in (1, 2, 3)] == [
        worst_first[:4], worst_first[4:], worst_first[4:],
    ]  # fmt: skip
    assert ids(install, show=Show.NEED) == [disabled.pk, unknown.pk]
    assert ids(install, show=Show.FAILED) == [failed.pk]
    assert ids(install, show=Show.PAUSED) == [paused.pk]
    assert ids(install, show=Show.ACTIVE) == [failed.pk, newer.pk, older.pk]


def test_text_is_a_part_of_a_url_or_a_whole_id(install: Install) -> None:
    by_url = make_endpoint(install=install, url="https://a.example.com/Hooks/100%25_x")
    by_handler = make_endpoint(install=install, handler_url="https://b.example.com/hooks/2")
    assert ids(install, text="hooks/2") == [by_handler.pk]
    assert ids(install, text="hooks/1") == [by_url.pk]
    assert ids(install, text="100%25_") == [by_url.pk]
    assert ids(install, text="100_25") == []
    assert ids(install, text=str(by_url.opentrain_id)) == [by_url.pk]
    assert ids(install, text=str(by_url.opentrain_id)[:-1]) == []


def test_part_of_a_receiver_key_finds_nothing(install: Install) -> None:
    one = make_endpoint(install=install, receiver_key=KEY)
    assert ids(install, text=KEY[:8]) == ids(install, text=f"hooks/{KEY[:3]}") == ids(install, text=KEY[-5:]) == []
    for text in (KEY, one.url, one.url.rstrip("/"), "redeliver.example.com/hooks"):
        assert ids(install, text=text) == [one.pk]


@pytest.mark.parametrize("column", ["url", "handler_url"])
def test_part_of_a_password_or_of_a_secret_parameter_finds_nothing(column: str, install: Install) -> None:
    url = "https://anna:Gr7pw@hooks.example.com/in;jsessionid=Zz9?tenant=acme&token=Qx7abc#key=Vv8"
    one = make_endpoint(install=install, **{column: url})
    for text in ("gr7", "//a", "anna", "token=q", "abc#", "Vv8", "=Zz"):
        assert ids(install, text=text) == []
    for text in (url, "hooks.example.com/in", "token="):
        assert ids(install, text=text) == [one.pk]


def test_text_is_a_part_of_a_name_or_an_id_in_other_case_or_in_a_sentence(install: Install) -> None:
    one = make_endpoint(install=install, name="Billing EU", opentrain_id="whe_9x")
    make_endpoint(install=install, name="Payroll")
    for text in ("illing e", "WHE_9X", "is whe_9x slow?"):
        assert ids(install, text=text) == [one.pk]


def test_number_of_matches_and_of_the_last_page_is_known(install: Install) -> None:
    for _ in range(5):
        make_endpoint(install=install)
    Endpoint.objects.filter(pk=Endpoint.objects.latest("pk").pk).update(status="DISABLED")
    install.refresh_from_db()
    for show, number, matching in ((Show.ALL, 3, 5), (Show.ACTIVE, 2, 4), (Show.NEED, 1, 0)):
        found = page(install=install, criteria=EndpointCriteria(show=show), number=9, size=2)
        assert (found.number, found.matching) == (number, matching)
