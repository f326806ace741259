"""The forms that put endpoints behind the receiver."""

import uuid

from django.http import QueryDict

from dashboard.forms.routes import NO_SECRET, NO_SECRET_OF_ONE, RouteForm, RouteInstallForm
from tests.presenters.rows import NOW, endpoint

SECRET = "whsec_" + "s" * 32


def posted(**given: str) -> QueryDict:
    data = QueryDict(mutable=True)
    data.update(given)
    return data


def test_secret_its_absence_or_what_is_known_is_enough() -> None:
    assert RouteForm(posted(secret=f" {SECRET} "), knows_secret=False).is_valid()
    assert RouteForm(posted(without_secret="on"), knows_secret=False).is_valid()
    assert RouteForm(posted(secret=""), knows_secret=True).is_valid()
    form = RouteForm(posted(secret=""), knows_secret=False)
    assert form.errors == {"secret": [NO_SECRET]}


def test_what_is_no_secret_is_refused_once() -> None:
    form = RouteForm(posted(secret="ot_ptk_" + "a" * 43), knows_secret=False)
    assert len(form.errors["secret"]) == 1
    assert "ot_ptk_a" not in str(form.errors)


def test_secret_is_never_in_its_field_again() -> None:
    assert SECRET not in RouteForm(posted(secret=SECRET), knows_secret=False).as_p()


def test_each_endpoint_of_an_install_has_its_own_secret_and_operation() -> None:
    first, second, third = (endpoint(pk=pk) for pk in (1, 2, 3))
    operation = uuid.uuid4()
    data = posted(route_1="on", secret_1=SECRET, operation_1=str(operation), route_2="on", secret_3="whsec_" + "t" * 32)
    form = RouteInstallForm(data, endpoints=[first, second, third], knowing={2})
    assert form.is_valid()
    wanted = form.wanted
    assert [(one.endpoint.pk, one.secret) for one in wanted] == [(1, SECRET), (2, "")]
    assert wanted[0].operation == operation
    assert wanted[1].operation not in {None, operation}


def test_endpoint_that_redeliver_was_taken_out_of_is_not_chosen_for_the_person() -> None:
    url = "https://acme.example.com/hook"
    out = endpoint(pk=2, url=url, handler_url=url, bypassed_at=NOW)
    form = RouteInstallForm(None, endpoints=[endpoint(pk=1), out], knowing={2})
    assert [form[f"route_{pk}"].value() for pk in (1, 2)] == [True, False]


def test_chosen_endpoint_without_a_secret_is_asked_for_it() -> None:
    form = RouteInstallForm(posted(route_1="on"), endpoints=[endpoint(pk=1)], knowing=set())
    assert form.errors == {"secret_1": [NO_SECRET_OF_ONE]}
    assert form.wanted == []
    nothing = RouteInstallForm(posted(anyway="on"), endpoints=[endpoint(pk=1)], knowing=set())
    assert nothing.non_field_errors() == ["Choose at least one endpoint."]
    assert (nothing.wanted, nothing.lacking) == ([], [])


def test_endpoint_that_lacks_its_secret_does_not_hold_up_the_others() -> None:
    data = posted(route_1="on", secret_1=SECRET, route_2="on", route_3="on", secret_3="nonsense", secret_4="nonsense")
    form = RouteInstallForm(data, endpoints=[endpoint(pk=pk) for pk in (1, 2, 3, 4)], knowing=set())
    assert not form.is_valid()
    assert [(one.endpoint.pk, one.secret) for one in form.wanted] == [(1, SECRET)]
    assert [(one.pk, words) for one, words in form.lacking] == [
        (2, NO_SECRET_OF_ONE),
        (3, "This is not a signing secret. Signing secrets begin with whsec_."),
    ]
