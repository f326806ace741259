"""Things declared in several places: filters, alert kinds, delivery columns, operations, pages.

Each test names what is missing, and where. Facts that the code does not state are listed here, with their reasons.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.urls import URLPattern, URLResolver, reverse

from dashboard import urls
from dashboard.actions.alerts.sentences import SENTENCES
from dashboard.actions.deliveries.attempts import ADVANCED, first
from dashboard.forms import audit_filters, delivery_filters
from dashboard.forms.delivery_filters import FILTERS, REFUSED, SIGNATURES, UNSAID
from dashboard.models import AlertChannel, Delivery, User
from dashboard.partner_api import document
from dashboard.partner_api.api import api
from dashboard.queries import delivery_list_sql, delivery_lists
from dashboard.queries.alert_conditions import FOUND_BY
from dashboard.queries.audit import AuditCriteria
from dashboard.queries.delivery_criteria import DeliveryCriteria, Scope
from dashboard.rules.alert_messages import ENDINGS, NEXT_STEPS
from dashboard.rules.alerts import WORST_FIRST, AlertKind
from dashboard.rules.attempts import AttemptResult, Event
from dashboard.services.opentrain import client
from dashboard.signatures import REPORTED
from dashboard.templatetags.redeliver import LOOKS
from dashboard.vault import Secret
from dashboard.views import delivery_export
from dashboard.views import delivery_lists as delivery_views
from tests.contract import test_contract
from tests.contract.fake import FakeOpenTrain
from tests.matrix import rows
from tests.partner_api import test_document
from tests.views.conftest import browser_of

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 6, 12, 12, tzinfo=UTC)
EXAMPLES = {
    "install": "Acme Labs",
    "state": "failed",
    "event": "contract.started",
    "cause": "503",
    "attempts_min": "2",
    "attempts_max": "5",
    "from": "24h",
    "to": "24h",
    "delivery": "dlv_1",
    "event_id": "evt_1",
    "resource": "con_1",
    "signature": "mismatch",
}
"""A value of each filter of the lists of deliveries."""
NOT_EXPORTED = {
    "id": "ours alone",
    "endpoint": "the file has its OpenTrain ID and its install's name instead",
    "event_created_at": "the body has it",
    "body": "only in NDJSON, where it is asked for",
    "body_gone_at": "a body that is null says so",
    "attempts_in_round": "only the rules need it",
    "last_ok": "`state` and `last_status` say so",
    "abandoned_at": "`state` says so",
    "standing": "`state` says so",
    "due_by": "`state` says so",
    "attempts_class": "for an index alone",
}
"""Columns of a delivery that are not in the export, and why."""
NOT_SHOWN = {
    "endpoint": "by its name, above the page",
    "id": "the address has it",
    "event_created_at": "the body has it",
    "last_ok": "in the state",
    "attempts_in_round": "in the state",
    "requested_at": "in the state",
    "abandoned_at": "in the state",
    "standing": "in the state",
    "due_by": "in the state",
    "last_attempt_at": "with each attempt",
    "last_status": "with each attempt",
    "last_cause": "with each attempt",
    "last_latency_ms": "with each attempt",
    "last_signature": "with each attempt",
    "attempts_class": "for an index alone",
}
"""Columns of a delivery that its own page does not name, and where they are shown."""
SET_BY_DATABASE = {"id", "attempts_class"}


# --- A filter of the lists of deliveries ------------------------------------------------------------------------------


def criteria_of(name: str) -> DeliveryCriteria:
    return delivery_filters.parse(params=example(name), now=NOW).criteria


def example(name: str) -> dict[str, str]:
    assert name in EXAMPLES, f"filter {name} has no value in EXAMPLES of tests/test_in_step.py"
    return {name: EXAMPLES[name]}


def test_every_filter_has_an_example_here() -> None:
    differ = set(EXAMPLES) ^ {one.name for one in FILTERS}
    assert not differ, f"EXAMPLES of tests/test_in_step.py and FILTERS of forms/delivery_filters.py differ in {differ}"


def test_every_criterion_is_read_by_a_filter() -> None:
    plain = DeliveryCriteria()
    read = {
        field.name
        for name in (one.name for one in FILTERS)
        for field in fields(DeliveryCriteria)
        if getattr(criteria_of(name), field.name) != getattr(plain, field.name)
    }
    missing = {field.name for field in fields(DeliveryCriteria)} - read
    assert not missing, f"no filter in forms/delivery_filters.py sets {missing} of queries/delivery_criteria.py"


@pytest.mark.parametrize("name", [one.name for one in FILTERS])
def test_filter_reaches_the_list_its_count_and_its_causes(name: str) -> None:
    asked: dict[str, Any] = {"scope": Scope(endpoint=1), "now": NOW}
    for query, more in (("newest", {"limit": 50, "cursor": None}), ("counted", {"most": 1000})):
        build = getattr(delivery_list_sql, query)
        with_it, without = (
            build(criteria=criteria, **asked, **more) for criteria in (criteria_of(name), DeliveryCriteria())
        )
        assert (with_it.text, with_it.params) != (without.text, without.params), (
            f"filter {name} makes no difference to {query}() in queries/delivery_list_sql.py"
        )


@pytest.mark.parametrize("name", [one.name for one in FILTERS if one.of_refused and one.name != "signature"])
def test_filter_of_refused_requests_reaches_their_list(name: str) -> None:
    with_it, without = (
        str(delivery_lists._refused(scope=Scope(endpoint=1), criteria=criteria).query)
        for criteria in (criteria_of(name), DeliveryCriteria())
    )
    assert with_it != without, f"filter {name} makes no difference to refused_page() in queries/delivery_lists.py"


@pytest.mark.parametrize("one", FILTERS, ids=lambda one: one.name)
def test_filter_has_its_chip_and_its_line_in_the_audit(one: delivery_filters.DeliveryFilter) -> None:
    (chip,) = delivery_filters.parse(params=example(one.name), now=NOW).chips
    assert chip.label == one.label, f"filter {one.name} has no chip"
    assert chip.words, f"filter {one.name} has no words in _words() of forms/delivery_filters.py"


@pytest.mark.parametrize("one", FILTERS, ids=lambda one: one.name)
def test_what_a_filter_goes_by_is_in_the_export(one: delivery_filters.DeliveryFilter) -> None:
    assert one.columns, f"filter {one.name} names no columns in FILTERS of forms/delivery_filters.py"
    exported = {*delivery_export._DELIVERY.values(), *delivery_export._JUDGED}
    missing = set(one.columns) - exported
    assert not missing, f"filter {one.name}: {missing} of a delivery is not in _DELIVERY of views/delivery_export.py"


def test_every_filter_has_a_field_on_the_page(support: User) -> None:
    page = browser_of(support).read(reverse("delivery-list"))
    missing = {one.name for one in FILTERS if not re.search(rf'name="{one.name}"', page)}
    assert not missing, f"templates/deliveries/_filter.html has no field for the filters {missing}"


@pytest.mark.parametrize("one", FILTERS, ids=lambda one: one.name)
def test_field_of_a_filter_keeps_what_was_asked_for(one: delivery_filters.DeliveryFilter, support: User) -> None:
    page = browser_of(support).read(f"{reverse('delivery-list')}?{urlencode(example(one.name))}")
    (field,) = re.findall(rf'<(?:input|select)[^>]* name="{one.name}".*?(?=</label>)', page, re.DOTALL)
    value = re.escape(EXAMPLES[one.name])
    kept = re.search(rf'<input[^>]* value="{value}"|<option value="{value}" selected', field)
    assert kept, f"templates/deliveries/_filter.html does not fill the field of filter {one.name} with its value"


def test_folded_filters_are_those_below_more_filters(support: User) -> None:
    page = browser_of(support).read(reverse("delivery-list"))
    (more,) = re.findall(r'<details class="filters-more".*?</details>', page, re.DOTALL)
    below = {one.name for one in FILTERS if re.search(rf'name="{one.name}"', more)}
    differ = below ^ {one.name for one in FILTERS if one.folded}
    assert not differ, f"`folded` in FILTERS and “More filters” of templates/deliveries/_filter.html differ in {differ}"


def test_every_result_of_a_signature_is_a_choice_on_the_page(support: User) -> None:
    page = browser_of(support).read(reverse("delivery-list"))
    missing = {name for name in SIGNATURES if f'value="{name}"' not in page}
    assert not missing, f"templates/deliveries/list.html has no choice for the signatures {missing}"
    assert set(SIGNATURES) == {verdict or UNSAID for verdict in REPORTED} | {REFUSED}


def test_filters_of_the_activity_have_labels_readers_and_criteria() -> None:
    labels, readers = set(audit_filters._LABELS), set(audit_filters._READERS)
    assert labels == readers, f"forms/audit_filters.py: {labels ^ readers} has a label or a reader, and not both"
    examples = {"outcome": "done", "from": "24h", "to": "24h"}
    read: set[str] = set()
    for name in readers:
        read |= set(audit_filters._READERS[name](examples.get(name, "7"), NOW)[1])
    missing = {field.name for field in fields(AuditCriteria)} ^ read
    assert not missing, f"forms/audit_filters.py and AuditCriteria of queries/audit.py differ in {missing}"


# --- An alert kind ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", AlertKind)
def test_alert_kind_has_all_that_a_kind_needs(kind: AlertKind) -> None:
    places = {
        "label in AlertKind of rules/alerts.py": kind.label,
        "place in WORST_FIRST of rules/alerts.py": kind in WORST_FIRST,
        "query in FOUND_BY of queries/alert_conditions.py": kind in FOUND_BY,
        "sentence in SENTENCES of actions/alerts/sentences.py": kind in SENTENCES,
        "sentence for its end in ENDINGS of rules/alert_messages.py": kind in ENDINGS,
        "next step in NEXT_STEPS of rules/alert_messages.py": kind in NEXT_STEPS,
        "look in LOOKS of templatetags/redeliver.py": kind.value in LOOKS,
        "line in docs/alerts.md": f"`{kind.value}`" in (ROOT / "docs" / "alerts.md").read_text(),
    }
    missing = [place for place, is_there in places.items() if not is_there]
    assert not missing, f"alert kind {kind.name} has no {', no '.join(missing)}"


def test_alert_kinds_fit_their_column_and_are_choices_of_a_channel() -> None:
    kinds = AlertChannel._meta.get_field("kinds").base_field
    assert [value for value, _label in kinds.choices] == list(AlertKind)
    assert max(map(len, AlertKind)) <= kinds.max_length, "make the columns of kinds in models/alerts.py wider"


# --- A column of a delivery -------------------------------------------------------------------------------------------

COLUMNS = [field.name for field in Delivery._meta.concrete_fields]


@pytest.fixture
def set_first(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the columns that a delivery's first attempt sets."""
    given: set[str] = set()
    names = {field.attname: field.name for field in Delivery._meta.concrete_fields}
    monkeypatch.setattr(
        "dashboard.actions.deliveries.attempts.Delivery",
        lambda **columns: given.update(names.get(name, name) for name in columns),
    )
    event = Event("dlv_1", "evt_1", "contract.started", "con_1", b"{}")
    first(
        endpoint_id=1,
        event=event,
        result=AttemptResult(
            received_at=NOW,
            request_headers=[],
            answered_status=200,
            cause="",
            handler_url="",
            handler_status=200,
            latency_ms=1,
            response_headers=[],
            response_head=b"",
        ),
    )
    return given


def test_every_column_of_a_delivery_is_written(set_first: set[str]) -> None:
    missing = set(COLUMNS) - set_first - set(ADVANCED) - SET_BY_DATABASE
    assert not missing, f"neither first() nor ADVANCED of actions/deliveries/attempts.py writes {missing} of a delivery"


def test_every_column_with_a_default_of_the_database_has_one_in_python() -> None:
    fields = Delivery._meta.concrete_fields
    missing = {one.name for one in fields if one.has_db_default() and not one.has_default()}
    why = "the receiver writes every column itself, and cannot write a default that only the database has"
    assert not missing, f"{missing} of models/deliveries.py: give it default= beside db_default=; {why}"


def test_every_column_of_a_delivery_is_exported_or_there_is_a_reason() -> None:
    exported = {*delivery_export._DELIVERY.values()}
    missing = set(COLUMNS) - exported - set(NOT_EXPORTED)
    assert not missing, f"{missing}: add it to _DELIVERY of views/delivery_export.py, or say why not in NOT_EXPORTED"
    stale = (set(NOT_EXPORTED) - set(COLUMNS)) | (set(NOT_EXPORTED) & exported)
    assert not stale, f"NOT_EXPORTED of tests/test_in_step.py names {stale}, which is exported or no column"


def test_every_column_of_a_delivery_is_on_its_page_or_there_is_a_reason() -> None:
    folder = ROOT / "templates" / "deliveries"
    text = "".join(path.read_text() for path in (folder / "detail.html", folder / "_body.html"))
    missing = {name for name in COLUMNS if f"delivery.{name}" not in text} - set(NOT_SHOWN)
    assert not missing, f"{missing}: show it in templates/deliveries/detail.html, or say why not in NOT_SHOWN"


def test_lists_read_every_column_that_their_table_shows() -> None:
    text = (ROOT / "templates" / "components" / "_delivery_table.html").read_text()
    columns = {field.attname for field in Delivery._meta.concrete_fields}
    missing = (
        {name for name in columns if re.search(rf"delivery\.{name}\b", text)} - set(delivery_views._SHOWN) - {"id"}
    )
    assert not missing, f"{missing}: add it to _SHOWN of views/delivery_lists.py, or each row makes a query of its own"


# --- An operation of the Partner API ----------------------------------------------------------------------------------


def operations() -> dict[str, tuple[str, str]]:
    """Return the client's operations by name, each as (method, path)."""
    arguments: dict[str, Any] = {"token": Secret(""), "url": "", "event_types": [], "endpoint_id": "ep"}
    found: dict[str, tuple[str, str]] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(client, "call", lambda operation, **_rest: operation)
        for name, function in inspect.getmembers(client, inspect.isfunction):
            if function.__module__ != client.__name__:
                continue
            needed = [one.name for one in inspect.signature(function).parameters.values() if one.default is one.empty]
            made = function(**{one: arguments.get(one, "x") for one in needed})
            found[name] = (made.method, made.path)
    return found


OPERATIONS = operations()
NOT_CALLED = {
    ("POST", "/project-links"): "partners link their projects themselves",
    ("DELETE", "/project-links/{id}"): "the same",
    ("POST", "/contracts/{id}/usage"): "partners report the work that is done on their platform",
    ("GET", "/project-links/{id}"): "the list has every link",
}
"""Operations of the Partner API that the console does not need, and why."""


def served() -> set[tuple[str, str]]:
    """Return the operations that the Partner API serves, read from its own openapi.json."""
    return {
        (method.upper(), re.sub(r"\{\w+\}", "{id}", path.removeprefix(document.PATH)))
        for path, methods in document.describe(api)["paths"].items()
        for method in methods
        if method in document._METHODS
    }


def test_client_and_partner_api_have_the_same_operations() -> None:
    missing = set(OPERATIONS.values()) - served()
    assert not missing, f"dashboard/partner_api/api.py has no route for {missing}"
    missing = served() - set(OPERATIONS.values()) - set(NOT_CALLED)
    assert not missing, f"services/opentrain/client.py has no function for {missing}"
    stale = set(NOT_CALLED) & set(OPERATIONS.values()) | set(NOT_CALLED) - served()
    assert not stale, f"NOT_CALLED of tests/test_in_step.py names {stale}, which the client calls or nobody serves"


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_has_its_fake_its_contract_and_its_export(name: str) -> None:
    fake = getattr(FakeOpenTrain, name, None)
    assert fake is not None, f"operation {name} is not in tests/contract/fake.py"
    ours, theirs = (list(inspect.signature(one).parameters) for one in (getattr(client, name), fake))
    assert ours == theirs[1:], f"operation {name} takes other arguments in tests/contract/fake.py"
    assert hasattr(fake, "__wrapped__"), (
        f"put @_operation on {name} in tests/contract/fake.py, or its calls are not seen"
    )
    tried = {one for one, _arguments in test_contract.ALL}
    assert name in tried, f"operation {name} is not in ALL of tests/contract/test_contract.py"
    from dashboard.services import opentrain  # noqa: PLC0415 - the name that callers use

    assert name in opentrain.__all__, f"operation {name} is not in __all__ of services/opentrain/__init__.py"


def test_every_operation_is_in_the_docs_and_is_compared_with_its_schema() -> None:
    page = (ROOT / "docs" / "partner-api.md").read_text()
    missing = {(method, path) for method, path in served() if f"| `{method} {path}` |" not in page}
    assert not missing, f"the table of operations in docs/partner-api.md has no row for {missing}"
    compared = {(method.upper(), re.sub(r"\{\w+\}", "{id}", path)) for method, path, _body in test_document.CALLS}
    missing = served() - compared
    assert not missing, f"CALLS of tests/partner_api/test_document.py has no call of {missing}"


# --- A page -----------------------------------------------------------------------------------------------------------


def pages() -> Iterator[URLPattern]:
    """Yield the console's own URLs, without django-allauth's."""
    found: list[URLPattern | URLResolver] = [*urls.console, *urls.account]
    for one in found:
        if isinstance(one, URLPattern) and one.callback.__module__.startswith("dashboard.views."):
            yield one


PAGES = {str(page.name): page for page in pages()}


def test_every_page_has_its_line_in_the_matrix() -> None:
    written = {row.name for row in rows()}
    missing = set(PAGES) - written
    assert not missing, f"tests/matrix.py has no line for {missing}"


def test_every_page_of_the_console_says_who_may_see_it() -> None:
    missing = {
        name for name, page in PAGES.items() if not hasattr(page.callback, "permission") and page in urls.console
    }
    assert not missing, f"put @allowed(Permission.…) on the views of {missing}"


def test_every_template_of_ours_is_used() -> None:
    folder = ROOT / "templates"
    sources = [*(ROOT / "dashboard").rglob("*.py"), *folder.rglob("*.html")]
    text = "\n".join(path.read_text() for path in sources)
    theirs = ("account/", "mfa/", "socialaccount/", "allauth/")
    ours = [path.relative_to(folder).as_posix() for path in folder.rglob("*.html")]
    unused = {
        name
        for name in ours
        if "/" in name and not name.startswith(theirs) and f'"{name}' not in text and f"'{name}" not in text
    }
    assert not unused, f"no view renders, and no template includes, {unused}"
