"""Rotations: one at a time for each endpoint, found from the old and the new one."""

import pytest
from django.db import IntegrityError, transaction

from dashboard.models import Endpoint, Rotation
from tests.factories import NOON, make_endpoint

pytestmark = pytest.mark.django_db
OVER = {Rotation.Step.DONE, Rotation.Step.ABORTED}


def rotate(old: Endpoint, *, step: str = Rotation.Step.CREATE) -> Rotation:
    new = make_endpoint(install=old.install)
    return Rotation.objects.create(old=old, new=new, step=step, started_by_name="ana", started_at=NOON)


@pytest.mark.parametrize("step", list(Rotation.Step))
def test_rotation_is_under_way_until_it_is_done_or_aborted(step: Rotation.Step) -> None:
    rotation = rotate(make_endpoint(), step=step)
    assert rotation.is_under_way is Rotation.objects.under_way().exists() is (step not in OVER)


@pytest.mark.parametrize("step", list(Rotation.Step))
def test_second_rotation_of_an_endpoint_is_refused_while_one_is_under_way(step: Rotation.Step) -> None:
    old = make_endpoint()
    rotate(old, step=step)
    if step in OVER:
        rotate(old)
        return
    with pytest.raises(IntegrityError), transaction.atomic():
        rotate(old)


def test_rotations_of_an_endpoint_are_found_as_old_and_as_new_newest_first(django_assert_num_queries) -> None:
    first = rotate(make_endpoint(), step=Rotation.Step.DONE)
    second = rotate(first.new)
    rotate(make_endpoint())
    with django_assert_num_queries(1):
        found = list(Rotation.objects.of(endpoint=first.new))
        assert [(one.old.known_as, one.new.known_as) for one in found] == [
            (second.old.known_as, second.new.known_as),
            (first.old.known_as, first.new.known_as),
        ]
