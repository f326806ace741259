"""The form behind a button: one operation, even if submitted repeatedly."""

import uuid

import pytest
from django.http import QueryDict

from dashboard.forms.operation import OperationForm


def test_every_form_that_is_shown_has_an_operation_of_its_own() -> None:
    names = {OperationForm()["operation"].value() for _ in range(2)}
    assert len(names) == 2
    assert {str(uuid.UUID(name)) for name in names} == names
    assert 'type="hidden"' in str(OperationForm()["operation"])


def test_operation_is_the_one_that_was_sent() -> None:
    form = OperationForm(QueryDict("operation=12345678-1234-4234-8234-123456789abc"))
    assert form.is_valid()
    assert form.cleaned_data["operation"] == uuid.UUID("12345678-1234-4234-8234-123456789abc")


@pytest.mark.parametrize(("sent", "valid"), [("", True), ("operation=", True), ("operation=x", False)])
def test_operation_may_be_missing_and_may_not_be_nonsense(sent: str, valid: bool) -> None:
    form = OperationForm(QueryDict(sent))
    assert form.is_valid() is valid
    assert form.cleaned_data.get("operation") is None
