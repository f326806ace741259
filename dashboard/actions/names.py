"""Renaming endpoints and installs. Names are Redeliver's own: OpenTrain is never called."""

import uuid

from django.db import transaction

from dashboard.actions import audit
from dashboard.actions.installs.snapshots import hold
from dashboard.actions.installs.titles import tell_apart
from dashboard.models import Endpoint, Install, User
from dashboard.rules.endpoint_titles import NEW_SECRET, OLD_SECRET, base_title, looks, place

RENAME_ENDPOINT, RENAME_INSTALL = "rename endpoint", "rename install"
"""Names of these actions in the audit."""


class Taken(Exception):
    """Another endpoint of the install is called so. The message says which."""


def rename_endpoint(*, actor: User, endpoint: Endpoint, name: str, operation: uuid.UUID) -> None:
    """Give the endpoint a name; an empty one takes it away. Nothing happens if it has it already.

    Raises: Taken; audit.NotedBefore, with nothing changed.
    """
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        row = Endpoint.objects.select_for_update(no_key=True).defer("secret").get(pk=endpoint.pk)
        if row.name == name:
            return
        check_name(install_id=row.install_id, name=name, besides=row)
        before, row.name = row.base_title, name
        words = f"The endpoint is called “{row.base_title}” now. It was called “{before}” before."
        Endpoint.objects.filter(pk=row.pk).update(name=name)
        tell_apart(install_id=row.install_id)
        row.refresh_from_db(fields=["told_apart_by"])
        audit.note(actor=actor, action=RENAME_ENDPOINT, words=words, endpoint=row, operation=operation)


def check_name(*, install_id: int, name: str, besides: Endpoint | None = None) -> None:
    """Check that no other endpoint of the install has this name, or one that looks like it, as its title or address.

    The two endpoints of a rotation may share a name: their titles say which has which secret. Raises: Taken.
    """
    if not name:
        return
    others = Endpoint.objects.filter(install=install_id, deleted_at=None).defer("secret")
    if besides is not None:
        others = others.exclude(pk=besides.pk)
        if besides.told_apart_by in (OLD_SECRET, NEW_SECRET):
            others = others.exclude(told_apart_by__in=[OLD_SECRET, NEW_SECRET])
    wanted, address = looks(base_title(name=name, place="")), looks(place(name))
    for one in others:
        for title in (one.base_title, one.title):
            if looks(title) == wanted:
                raise Taken(f"Another endpoint of this install is called {title}. Choose a name that differs.")
        if address and looks(one.place) == address:  # it stands below that one's name
            raise Taken(f"Another endpoint of this install has the address {one.place}. Choose a name that differs.")


def rename_install(*, actor: User, install: Install, name: str, operation: uuid.UUID) -> None:
    """Give the install a name; without one, it is called by its organization's ID. Nothing happens if it has it.

    Raises: audit.NotedBefore, with nothing changed.
    """
    with transaction.atomic():
        row = Install.objects.select_for_update(no_key=True).defer("token").get(pk=install.pk)
        before, row.name = row.name, name or row.organization_id
        if row.name == before:
            return
        words = f"The install is called “{row.name}” now. It was called “{before}” before."
        audit.note(actor=actor, action=RENAME_INSTALL, words=words, install=row, operation=operation)
        Install.objects.filter(pk=row.pk).update(name=row.name)
