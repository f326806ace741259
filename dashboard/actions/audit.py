"""Creates all audit entries, with the actor, the source of the request, and the names of the objects."""

import uuid

from django.db import IntegrityError, transaction

from dashboard.auth import request_source
from dashboard.logs import redact
from dashboard.models import AuditEntry, Endpoint, Install, Run, User
from dashboard.rules.outside_texts import cut

COMMAND_LINE = "command line"
"""Actor name for management commands."""
DONE = AuditEntry.Phase.DONE
REFUSED = AuditEntry.Phase.REFUSED
URL_CHARS = 2048
TITLE_CHARS = 150


class NotedBefore(Exception):
    """The operation already has an entry, because its form was submitted before. Do nothing."""


def note(
    *,
    actor: User | None,
    action: str,
    words: str,
    install: Install | None = None,
    endpoint: Endpoint | None = None,
    run: Run | None = None,
    operation: uuid.UUID | None = None,
    phase: AuditEntry.Phase = DONE,
    actor_name: str = COMMAND_LINE,
) -> None:
    """Audit a change that involves no call to OpenTrain; `operation.py` audits those that do.

    Call it in the transaction of the change, so that both are committed or neither. `action` names the change, and
    people filter by it. `words` give the details to people who read them a year later: names, and no secrets. `install`
    (by default the endpoint's) decides which partner admins may read the entry. `operation` is the form's ID, if it has
    one. `actor_name` is used if `actor` is None.

    Raises: NotedBefore, with nothing written.
    """
    row = entry(
        operation=operation or uuid.uuid4(),
        phase=phase,
        action=action,
        actor=actor,
        actor_name=actor_name,
        install=install,
        endpoint=endpoint,
    )
    row.words, row.run = redact(words), run
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise NotedBefore from None


def entry(
    *,
    operation: uuid.UUID,
    phase: AuditEntry.Phase,
    action: str,
    actor: User | None,
    install: Install | None,
    endpoint: Endpoint | None,
    actor_name: str = COMMAND_LINE,
) -> AuditEntry:
    """Return an unsaved entry that keeps the names of its objects after they are deleted."""
    install = endpoint.install if install is None and endpoint is not None else install
    here = request_source.current.get()
    row = AuditEntry(operation=operation, phase=phase, action=action, address=here.address, agent=here.agent)
    row.actor, row.actor_name = actor, actor.get_username() if actor is not None else actor_name
    row.install, row.endpoint = install, endpoint
    if install is not None:
        row.install_name, row.install_opentrain_id = install.name, install.opentrain_id
    if endpoint is not None:
        row.endpoint_url = cut(redact(endpoint.known_as), most=URL_CHARS)  # redacting can make it longer
        row.endpoint_name = redact(endpoint.title)[:TITLE_CHARS]
        row.endpoint_opentrain_id = endpoint.opentrain_id or ""
    return row
