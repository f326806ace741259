"""The audit's entries: the one place where they are made, with who, from where, and the names of what it is about."""

import uuid

from django.db import IntegrityError, transaction

from dashboard.auth import request_source
from dashboard.logs import redact
from dashboard.models import AuditEntry, Endpoint, Install, User

COMMAND_LINE = "command line"
"""Who acts at the machine itself."""
DONE = AuditEntry.Phase.DONE
REFUSED = AuditEntry.Phase.REFUSED


class NotedBefore(Exception):
    """This operation has its entry already: the form that asked for it was sent before. Do nothing now."""


def note(
    *,
    actor: User | None,
    action: str,
    words: str,
    install: Install | None = None,
    endpoint: Endpoint | None = None,
    operation: uuid.UUID | None = None,
    phase: AuditEntry.Phase = DONE,
    actor_name: str = COMMAND_LINE,
) -> None:
    """Note what was done here alone; `operation.py` does for calls to OpenTrain.

    Call it in the transaction of the write, so that neither is there without the other. `action` names what was done,
    and is what people filter by; `words` say the rest to whoever reads them in a year: names, and no secret. `install`
    (an endpoint brings its own) decides which partner admins may read it. `operation` is the form's, where it has one.
    `actor_name` is for an actor of None.

    Raises: NotedBefore, with nothing noted.
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
    row.words = redact(words)
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
    """Return an entry to be saved, which still says what it is about when that is deleted."""
    install = endpoint.install if install is None and endpoint is not None else install
    here = request_source.current.get()
    row = AuditEntry(operation=operation, phase=phase, action=action, address=here.address, agent=here.agent)
    row.actor, row.actor_name = actor, actor.get_username() if actor is not None else actor_name
    row.install, row.endpoint = install, endpoint
    if install is not None:
        row.install_name, row.install_opentrain_id = install.name, install.opentrain_id
    if endpoint is not None:
        row.endpoint_url, row.endpoint_opentrain_id = redact(endpoint.known_as), endpoint.opentrain_id or ""
    return row
