"""One suite for two systems: the fake that console tests use, and the Partner API over HTTP with the real client."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.services.opentrain import (
    Forbidden,
    NotFound,
    PartnerApp,
    Rejected,
    Unauthorized,
    WebhookEndpoint,
)
from dashboard.vault import Secret
from tests.contract.fake import EVENT_TYPES, MARIA, SCOPES, FakeOpenTrain
from tests.contract.partner_api import PartnerApi, served

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

URL = "https://your-platform.example.com/webhooks/opentrain"
TYPES = ("contract.started", "contract.ended")
UNKNOWN = "whe_" + "0" * 32
ATTEMPTED_SOON = "Requeued deliveries will be attempted on the next delivery run (within ~5 minutes)."

Api = FakeOpenTrain | PartnerApi

ON_AN_ENDPOINT: list[tuple[str, dict[str, Any]]] = [
    ("get_endpoint", {}),
    ("update_endpoint", {"status": "DISABLED"}),
    ("delete_endpoint", {}),
    ("redeliver", {}),
]
NEEDING_THE_SCOPE: list[tuple[str, dict[str, Any]]] = [
    ("create_endpoint", {"url": URL, "event_types": TYPES}),
    ("list_endpoints", {}),
    *((name, {"endpoint_id": UNKNOWN, **arguments}) for name, arguments in ON_AN_ENDPOINT),
]
READS: list[tuple[str, dict[str, Any], str]] = [
    ("list_project_links", {}, "project-links:read"),
    ("list_contracts", {}, "contracts:read"),
    ("list_participants", {"contract_id": "ctr_1"}, "participants:read"),
    ("get_budget", {"contract_id": "ctr_1"}, "contracts:read"),
]
"""The operations on links and contracts, each with its scope."""
ALL = [("get_install", {}), *NEEDING_THE_SCOPE, *((name, arguments) for name, arguments, _ in READS)]


@pytest.fixture(params=["fake", pytest.param("partner_api", marks=pytest.mark.django_db(transaction=True))])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    if request.param == "fake":
        yield FakeOpenTrain()
        return
    settings = request.getfixturevalue("settings")
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]  # not the console's: it is another system
    with served() as settings.OPENTRAIN_BASE_URL:
        yield PartnerApi()


@pytest.fixture
def token(api: Api) -> Secret:
    return api.add_install()


@pytest.fixture
def endpoint(api: Api, token: Secret) -> WebhookEndpoint:
    return api.opentrain.create_endpoint(token=token, url=URL, event_types=TYPES).endpoint


def refusal(error: Rejected) -> tuple[int, str, str, dict[str, str]]:
    return error.status, error.code, error.said, dict(error.details)


def test_get_install_answers_install_app_and_token(api: Api) -> None:
    install = api.opentrain.get_install(token=api.add_install(scopes=["contracts:read", "webhooks:manage"]))
    assert (install.status, install.scopes, install.pii_consent) == (
        "ACTIVE",
        ("contracts:read", "webhooks:manage"),
        False,
    )
    assert install.partner_app == PartnerApp(
        id=install.partner_app.id, slug="label-studio-cloud", name="Label Studio Cloud"
    )
    assert (install.token.name, install.token.scopes) == ("Consent screen", install.scopes)
    assert install.created_at.utcoffset() == timedelta(0)
    assert all([install.id, install.organization_id, install.partner_app.id, install.token.id])


def test_get_install_needs_no_scope(api: Api) -> None:
    token = api.add_install(scopes=["contracts:read"])
    assert api.opentrain.get_install(token=token).token.scopes == ("contracts:read",)


def test_two_installs_are_told_apart(api: Api, token: Secret) -> None:
    other = api.opentrain.get_install(token=api.add_install())
    assert other.id != api.opentrain.get_install(token=token).id


@pytest.mark.parametrize(("name", "arguments"), ALL)
@pytest.mark.parametrize("bad", ["ot_ptk_" + "x" * 43, "nonsense", "", "ot_ptk_ä\n"])
def test_unknown_token_is_unauthorized(api: Api, name: str, arguments: dict[str, Any], bad: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        getattr(api.opentrain, name)(token=Secret(bad), **arguments)
    assert (caught.value.status, caught.value.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(("name", "arguments"), ALL)
def test_revoked_token_is_unauthorized(api: Api, token: Secret, name: str, arguments: dict[str, Any]) -> None:
    api.revoke(token)
    with pytest.raises(Unauthorized) as caught:
        getattr(api.opentrain, name)(token=token, **arguments)
    assert (caught.value.status, caught.value.code) == (401, "UNAUTHORIZED")
    assert caught.value.request_id is not None


@pytest.mark.parametrize(("name", "arguments"), ALL)
@pytest.mark.parametrize("status", ["SUSPENDED", "REVOKED"])
def test_install_that_is_not_active_is_forbidden(api: Api, name: str, arguments: dict[str, Any], status: str) -> None:
    with pytest.raises(Forbidden) as caught:
        getattr(api.opentrain, name)(token=api.add_install(status=status), **arguments)
    assert (caught.value.status, caught.value.code) == (403, "FORBIDDEN")


@pytest.mark.parametrize(("name", "arguments"), NEEDING_THE_SCOPE)
def test_missing_scope_is_forbidden_and_named(api: Api, name: str, arguments: dict[str, Any]) -> None:
    token = api.add_install(scopes=[scope for scope in SCOPES if scope != "webhooks:manage"])
    with pytest.raises(Forbidden, match="webhooks:manage") as caught:
        getattr(api.opentrain, name)(token=token, **arguments)
    assert (caught.value.status, caught.value.code) == (403, "FORBIDDEN")


def test_create_answers_the_endpoint_and_its_secret(api: Api, token: Secret) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    made = api.opentrain.create_endpoint(token=token, url=URL, event_types=TYPES)
    assert made.endpoint == WebhookEndpoint(
        id=made.endpoint.id,
        url=URL,
        event_types=TYPES,
        status="ACTIVE",
        created_at=made.endpoint.created_at,
        consecutive_failures=0,
        disabled_at=None,
        disabled_reason=None,
    )
    assert made.endpoint.created_at.utcoffset() == timedelta(0)
    assert isinstance(api, FakeOpenTrain) or made.endpoint.created_at > before
    assert made.secret.reveal().startswith("whsec_")
    assert made.message.startswith("Store the secret now")


def test_secret_is_in_the_answer_of_create_only(api: Api, token: Secret) -> None:
    made = api.opentrain.create_endpoint(token=token, url=URL, event_types=TYPES)
    again = api.opentrain.create_endpoint(token=token, url=URL, event_types=TYPES)
    assert made.secret.reveal() != again.secret.reveal()
    assert made.endpoint.id != again.endpoint.id
    shown = [*api.opentrain.list_endpoints(token=token), again.endpoint]
    assert made.secret.reveal() not in repr(shown)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_create_takes_each_event_type(api: Api, token: Secret, event_type: str) -> None:
    made = api.opentrain.create_endpoint(token=token, url=URL, event_types=[event_type])
    assert made.endpoint.event_types == (event_type,)


def test_create_takes_plain_http_for_localhost(api: Api, token: Secret) -> None:
    made = api.opentrain.create_endpoint(token=token, url="http://localhost:9000/hooks", event_types=TYPES)
    assert made.endpoint.url == "http://localhost:9000/hooks"


BAD_REQUESTS: list[dict[str, Any]] = [
    {"url": "http://partner.example.com/hooks"},
    {"url": "ftp://partner.example.com/hooks"},
    {"url": "not a url"},
    {"url": ""},
    {"event_types": ()},
    {"event_types": ("contract.started", "contract.exploded")},
]


@pytest.mark.parametrize("bad", BAD_REQUESTS)
def test_create_refuses_what_is_not_valid(api: Api, token: Secret, bad: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        api.opentrain.create_endpoint(token=token, **({"url": URL, "event_types": TYPES} | bad))
    assert (caught.value.status, caught.value.code) == (400, "BAD_REQUEST")
    assert api.opentrain.list_endpoints(token=token) == ()


@pytest.mark.parametrize("bad", [*BAD_REQUESTS, {"status": "PAUSED"}, {}])
def test_update_refuses_what_is_not_valid(
    api: Api, token: Secret, endpoint: WebhookEndpoint, bad: dict[str, Any]
) -> None:
    with pytest.raises(Rejected) as caught:
        api.opentrain.update_endpoint(token=token, endpoint_id=endpoint.id, **bad)
    assert (caught.value.status, caught.value.code) == (400, "BAD_REQUEST")
    assert api.opentrain.get_endpoint(token=token, endpoint_id=endpoint.id) == endpoint


def test_list_answers_own_endpoints_newest_first(api: Api, token: Secret) -> None:
    made = [api.opentrain.create_endpoint(token=token, url=f"{URL}/{n}", event_types=TYPES).endpoint for n in range(3)]
    api.opentrain.create_endpoint(token=api.add_install(), url=URL, event_types=TYPES)
    assert api.opentrain.list_endpoints(token=token) == tuple(reversed(made))


def test_list_of_an_install_without_endpoints_is_empty(api: Api, token: Secret) -> None:
    assert api.opentrain.list_endpoints(token=token) == ()


def test_get_answers_one_endpoint(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    assert api.opentrain.get_endpoint(token=token, endpoint_id=endpoint.id) == endpoint


def test_get_answers_since_when_and_why_it_is_disabled(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    api.disable(endpoint.id, "10 attempts in a row failed.")
    shown = api.opentrain.get_endpoint(token=token, endpoint_id=endpoint.id)
    assert shown == replace(
        endpoint,
        status="DISABLED",
        consecutive_failures=10,
        disabled_at=shown.disabled_at,
        disabled_reason="10 attempts in a row failed.",
    )
    assert shown.disabled_at is not None
    assert shown.disabled_at >= endpoint.created_at


@pytest.mark.parametrize(("name", "arguments"), ON_AN_ENDPOINT)
def test_another_installs_endpoint_answers_exactly_as_an_unknown_one(
    api: Api, token: Secret, endpoint: WebhookEndpoint, name: str, arguments: dict[str, Any]
) -> None:
    outsider = api.add_install()
    with pytest.raises(NotFound) as theirs:
        getattr(api.opentrain, name)(token=outsider, endpoint_id=endpoint.id, **arguments)
    with pytest.raises(NotFound) as unknown:
        getattr(api.opentrain, name)(token=outsider, endpoint_id=UNKNOWN, **arguments)
    assert refusal(theirs.value) == refusal(unknown.value)
    assert (theirs.value.status, theirs.value.code) == (404, "NOT_FOUND")
    assert api.opentrain.get_endpoint(token=token, endpoint_id=endpoint.id) == endpoint


@pytest.mark.parametrize("strange", ["..", ".", "", "a/b", "%2e%2e", "ä", "a?b=c#d", "x" * 300, "a\r\nb"])
@pytest.mark.parametrize(("name", "arguments"), ON_AN_ENDPOINT)
def test_strange_id_is_not_found(
    *, api: Api, token: Secret, endpoint: WebhookEndpoint, name: str, arguments: dict[str, Any], strange: str
) -> None:
    with pytest.raises(NotFound):
        getattr(api.opentrain, name)(token=token, endpoint_id=strange, **arguments)
    assert api.opentrain.list_endpoints(token=token) == (endpoint,)


@pytest.mark.parametrize(
    "change",
    [{"url": "https://other.example.com/x?y=1"}, {"event_types": ("install.revoked",)}],
)
def test_update_changes_only_what_is_given(
    api: Api, token: Secret, endpoint: WebhookEndpoint, change: dict[str, Any]
) -> None:
    changed = api.opentrain.update_endpoint(token=token, endpoint_id=endpoint.id, **change)
    assert changed == replace(endpoint, **change)
    assert api.opentrain.get_endpoint(token=token, endpoint_id=endpoint.id) == changed


def test_update_to_active_clears_streak_since_and_why(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    api.disable(endpoint.id, "10 attempts in a row failed.")
    changed = api.opentrain.update_endpoint(token=token, endpoint_id=endpoint.id, status="ACTIVE")
    assert changed == endpoint


def test_update_to_active_of_an_active_endpoint_clears_the_streak(
    api: Api, token: Secret, endpoint: WebhookEndpoint
) -> None:
    api.set_streak(endpoint.id, 7)
    assert api.opentrain.get_endpoint(token=token, endpoint_id=endpoint.id).consecutive_failures == 7
    assert api.opentrain.update_endpoint(token=token, endpoint_id=endpoint.id, status="ACTIVE") == endpoint


def test_update_to_disabled_pauses_and_keeps_what_waits(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    [waiting] = api.add_deliveries(endpoint.id, pending=1)
    changed = api.opentrain.update_endpoint(token=token, endpoint_id=endpoint.id, status="DISABLED")
    assert (changed.status, changed.consecutive_failures) == ("DISABLED", 0)
    assert api.states(endpoint.id) == {waiting: "PENDING"}


def test_delete_answers_the_last_snapshot(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    api.add_deliveries(endpoint.id, pending=1, failed=1)
    assert api.opentrain.delete_endpoint(token=token, endpoint_id=endpoint.id).endpoint == endpoint
    assert api.opentrain.list_endpoints(token=token) == ()
    with pytest.raises(NotFound):
        api.opentrain.delete_endpoint(token=token, endpoint_id=endpoint.id)


def test_redeliver_all_requeues_exactly_the_failed_ones(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    first, second, delivered = api.add_deliveries(endpoint.id, failed=2, delivered=1)
    done = api.opentrain.redeliver(token=token, endpoint_id=endpoint.id)
    assert (done.endpoint, done.requeued, done.message) == (endpoint, 2, ATTEMPTED_SOON)
    assert api.states(endpoint.id) == {first: "PENDING", second: "PENDING", delivered: "DELIVERED"}


def test_redeliver_all_without_a_failed_one_requeues_none(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    done = api.opentrain.redeliver(token=token, endpoint_id=endpoint.id)
    assert (done.requeued, done.message) == (0, ATTEMPTED_SOON)


@pytest.mark.parametrize("state", ["failed", "delivered", "pending"])
def test_redeliver_one_requeues_it_whatever_its_state(
    api: Api, token: Secret, endpoint: WebhookEndpoint, state: str
) -> None:
    [one] = api.add_deliveries(endpoint.id, **{state: 1})
    [other] = api.add_deliveries(endpoint.id, failed=1)
    done = api.opentrain.redeliver(token=token, endpoint_id=endpoint.id, delivery_id=one)
    assert (done.endpoint, done.requeued, done.message) == (endpoint, 1, ATTEMPTED_SOON)
    assert api.states(endpoint.id) == {one: "PENDING", other: "FAILED"}


@pytest.mark.parametrize("all_of_them", [True, False])
def test_redeliver_while_disabled_requeues_and_reminds(
    api: Api, token: Secret, endpoint: WebhookEndpoint, all_of_them: bool
) -> None:
    [one] = api.add_deliveries(endpoint.id, failed=1)
    api.disable(endpoint.id, "10 attempts in a row failed.")
    done = api.opentrain.redeliver(token=token, endpoint_id=endpoint.id, delivery_id=None if all_of_them else one)
    assert (done.endpoint.status, done.requeued) == ("DISABLED", 1)
    assert done.message.startswith("Nothing is attempted while the endpoint is DISABLED.")


def test_redeliver_of_an_unknown_delivery_is_not_found(api: Api, token: Secret, endpoint: WebhookEndpoint) -> None:
    other = api.opentrain.create_endpoint(token=token, url=URL, event_types=["install.revoked"]).endpoint
    [theirs] = api.add_deliveries(other.id, failed=1)
    refusals = []
    for delivery_id in ("dlv_" + "0" * 32, theirs):
        with pytest.raises(NotFound) as caught:
            api.opentrain.redeliver(token=token, endpoint_id=endpoint.id, delivery_id=delivery_id)
        refusals.append(refusal(caught.value))
    assert refusals[0][:2] == (404, "NOT_FOUND")
    assert refusals[0] == refusals[1]
    assert api.states(other.id) == {theirs: "FAILED"}


@pytest.mark.parametrize(("name", "arguments", "scope"), READS)
def test_missing_scope_of_a_read_is_forbidden_and_named(
    api: Api, name: str, arguments: dict[str, Any], scope: str
) -> None:
    enough = {scope, "project-links:write"} if scope == "project-links:read" else {scope}
    token = api.add_install(scopes=[one for one in SCOPES if one not in enough])
    with pytest.raises(Forbidden, match=scope) as caught:
        getattr(api.opentrain, name)(token=token, **arguments)
    assert (caught.value.status, caught.value.code) == (403, "FORBIDDEN")


def test_links_are_read_with_the_scope_that_writes_them(api: Api) -> None:
    token = api.add_install(scopes=["project-links:write"])
    link = api.add_link(token, job_id=None)
    assert api.opentrain.list_project_links(token=token) == (link,)


def test_links_are_listed_newest_first_without_those_of_others(api: Api, token: Secret) -> None:
    links = [api.add_link(token, job_id=job_id) for job_id in (api.add_job(token), None)]
    api.add_link(api.add_install(), job_id=None)
    assert api.opentrain.list_project_links(token=token) == tuple(reversed(links))


def test_contracts_are_listed_newest_first_with_their_links(api: Api, token: Secret) -> None:
    job = api.add_job(token)
    link = api.add_link(token, job_id=job)
    first, second = api.hire(job), api.hire(job)
    api.hire(api.add_job(token))
    found = api.opentrain.list_contracts(token=token)
    assert [contract.id for contract in found] == [second, first]
    assert {(one.status, one.job_id, one.title, one.end_date, one.project_link_ids) for one in found} == {
        ("active", job, "Traffic signs", None, (link.id,))
    }
    assert found[0].start_date == found[0].created_at


def test_contracts_are_narrowed_by_link_status_and_limit(api: Api, token: Secret) -> None:
    job, other = api.add_job(token), api.add_job(token)
    link, _, empty = (api.add_link(token, job_id=one) for one in (job, other, None))
    ended, active, elsewhere = api.hire(job), api.hire(job), api.hire(other)
    api.end(ended)

    def ids(**criteria: Any) -> list[str]:
        return [one.id for one in api.opentrain.list_contracts(token=token, **criteria)]

    assert ids() == [elsewhere, active, ended]
    assert ids(limit=1) == [elsewhere]
    assert ids(project_link_id=link.id) == [active, ended]
    assert ids(project_link_id=empty.id) == []
    assert ids(status="active") == [elsewhere, active]
    [one] = api.opentrain.list_contracts(token=token, status="ended")
    assert (one.id, one.status) == (ended, "ended")
    assert one.end_date is not None
    assert one.start_date is not None
    assert one.end_date > one.start_date


def test_contracts_without_a_link_any_more_are_absent(api: Api, token: Secret) -> None:
    job = api.add_job(token)
    link = api.add_link(token, job_id=job)
    contract = api.hire(job)
    api.remove_link(link.id)
    assert api.opentrain.list_contracts(token=token) == ()
    for name in ("get_budget", "list_participants"):
        with pytest.raises(NotFound):
            getattr(api.opentrain, name)(token=token, contract_id=contract)


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 201}, {"status": "paused"}])
def test_contracts_with_a_bad_filter_are_rejected(api: Api, token: Secret, bad: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        api.opentrain.list_contracts(token=token, **bad)
    assert (caught.value.status, caught.value.code) == (400, "BAD_REQUEST")


def test_contracts_of_another_installs_link_are_not_found(api: Api, token: Secret) -> None:
    theirs = api.add_link(api.add_install(), job_id=None)
    for link_id in (theirs.id, "plk_1"):
        with pytest.raises(NotFound):
            api.opentrain.list_contracts(token=token, project_link_id=link_id)


@pytest.mark.parametrize("scopes", [SCOPES, ("participants:read", "contracts:read")])
def test_participants_have_their_work_email_where_it_may_be_shown(api: Api, scopes: tuple[str, ...]) -> None:
    token = api.add_install(scopes=scopes)
    job = api.add_job(token)
    api.add_link(token, job_id=job)
    contract = api.hire(job)
    shown = replace(MARIA, work_email=MARIA.work_email if "participants:email" in scopes else None)
    found = api.opentrain.list_participants(token=token, contract_id=contract)
    assert found == (shown,)
    assert "maria" not in repr(found).replace("usr_maria", "").lower()
    assert api.opentrain.list_participants(token=token, contract_id=api.hire(job, participants=())) == ()


@pytest.mark.parametrize(
    ("funded", "worked", "state", "fraction"),
    [(0, 2, "OK", 0), (10, 7, "OK", 0.7), (10, 8, "LOW", 0.8), (10, 10, "DEPLETED", 1), (10, 12, "DEPLETED", 1.2)],
)
def test_budget_says_what_is_left(
    *, api: Api, token: Secret, funded: int, worked: int, state: str, fraction: float
) -> None:
    job = api.add_job(token)
    api.add_link(token, job_id=job)
    contract = api.hire(job)
    if funded:
        api.fund(contract, hours=funded)
    api.work(contract, hours=worked)
    budget = api.opentrain.get_budget(token=token, contract_id=contract)
    assert (budget.contract_id, budget.payment_type, budget.state) == (contract, "PAY_PER_HOUR", state)
    assert (budget.funded_volume, budget.funded_amount_usd) == (funded, funded * 14)
    assert (budget.consumed_volume, budget.consumed_fraction) == (worked, fraction)
    assert budget.remaining_volume == max(funded - worked, 0)
