"""Criteria for listing deliveries."""

import pytest

from dashboard.models import Delivery, Role, User
from dashboard.queries.delivery_criteria import LARGEST_STATUS, CauseCriteria, Scope


@pytest.mark.parametrize("role", [role for role in Role if not User(role=role).sees_every_install])
def test_scope_of_who_does_not_see_every_install_is_theirs(role: Role) -> None:
    scope = Scope.of(User(pk=7, role=role))
    assert (scope, scope.is_all) == (Scope(member=7), False)


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.SUPPORT_LEAD])
def test_scope_of_support_is_all_there_is(role: Role) -> None:
    assert Scope.of(User(pk=7, role=role)).is_all


@pytest.mark.parametrize("scope", [Scope(endpoint=1), Scope(install=1), Scope(member=1)])
def test_scope_of_something_is_not_all(scope: Scope) -> None:
    assert not scope.is_all


def test_cause_is_of_every_status_that_a_row_can_have() -> None:
    cause = CauseCriteria("status")
    largest = Delivery._meta.get_field("last_status").validators
    assert (cause.first_status, cause.last_status) == (0, LARGEST_STATUS)
    assert max(one.limit_value for one in largest) == LARGEST_STATUS
