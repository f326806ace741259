"""Pure rules: the event that OpenTrain would have sent about a contract, built from its reads in the contract's shape.

It says that Redeliver built it: `"reconstructed": true`, and IDs with a prefix of Redeliver's own. Both IDs are the
same each time, so that a handler that skips what it has seen takes it once. They are digests, and do not grow as
OpenTrain's event IDs do.

What is not known is null, also a text that the log has cut or masked: a handler must not take it for the original.

Sources: partner-api, "Deliveries" and "Links, contracts and budgets".
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dashboard.rules import json_limits
from dashboard.rules.masking import REDACTED
from dashboard.rules.outside_texts import is_whole, storable
from dashboard.rules.reconciliation import Event
from dashboard.signatures import HEADER as SIGNATURE

EVENT_PREFIX, DELIVERY_PREFIX = "redeliver-event-", "redeliver-delivery-"
"""What the IDs begin with. OpenTrain's begin with neither."""
MARK = ("X-Redeliver-Reconstructed", "1")
"""The header that tells it from OpenTrain's own deliveries."""
USER_AGENT = "Redeliver-Handover/1.0"
ID_CHARS = 200
TEXT_CHARS = 2048
LOGGED_BYTES = 256 * 1024
"""Largest body of a logged event that is searched for a person: OpenTrain's have about a kilobyte."""

_DIGEST_CHARS = 32
_PERSON = {
    "opentrain_user_id": "opentrainUserId",
    "display_name": "displayName",
    "country": "country",
    "profile_url": "profileUrl",
    "work_email": "workEmail",
}


@dataclass(frozen=True, slots=True)
class ContractFields:
    """What OpenTrain last said of a contract. Empty and None: not known."""

    id: str
    status: str
    job_id: str
    title: str
    start_date: datetime | None
    end_date: datetime | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class LinkFields:
    """What OpenTrain last said of a project link. Empty and None: not known."""

    id: str
    job_id: str = ""
    external_project_id: str = ""
    external_project_name: str = ""
    external_project_url: str = ""
    provisioning_mode: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """An AI trainer who was hired. This is personal data: it is not in the repr. None: not known.

    `work_email` is None where OpenTrain did not give it, and then the event has no such field.
    """

    opentrain_user_id: str
    display_name: str | None = field(default=None, repr=False)
    country: str | None = field(default=None, repr=False)
    profile_url: str | None = field(default=None, repr=False)
    work_email: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Built:
    """An event that is ready to be signed. `body` has the raw bytes."""

    event: Event
    delivery_id: str
    body: bytes = field(repr=False)

    def headers(self, *, signature: str) -> list[tuple[str, str]]:
        """Return the headers that it is sent with, the `signature` of its body among them."""
        return [
            ("Content-Type", "application/json"),
            ("User-Agent", USER_AGENT),
            ("X-OpenTrain-Event", self.event.value),
            ("X-OpenTrain-Delivery", self.delivery_id),
            (SIGNATURE, signature),
            MARK,
        ]


def build(
    *,
    event: Event,
    contract: ContractFields,
    link: LinkFields,
    freelancer: Person,
    install_id: str,
    endpoint_id: str,
) -> Built:
    """Return the event that the contract started or ended, for one link and one endpoint. The IDs are OpenTrain's.

    `createdAt` is when it happened, as far as OpenTrain says so: not when it was built.
    """
    happened_at = contract.end_date if event is Event.ENDED else contract.created_at or contract.start_date
    said = {
        "id": EVENT_PREFIX + _digest(install_id, contract.id, event.value, link.id),
        "type": event.value,
        "apiVersion": "v1",
        "reconstructed": True,
        "createdAt": _time(happened_at),
        "resourceId": contract.id,
        "jobId": _known(contract.job_id),
        "data": {
            "contract": {
                "id": contract.id,
                "status": contract.status,
                "title": _known(contract.title),
                "startDate": _time(contract.start_date),
                "endDate": _time(contract.end_date),
            },
            "freelancer": _freelancer(freelancer),
            "projectLink": _link(link),
        },
    }
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    named = delivery_id(
        event=event, contract_id=contract.id, link_id=link.id, install_id=install_id, endpoint_id=endpoint_id
    )
    return Built(event, delivery_id=named, body=body)


def delivery_id(*, event: Event, contract_id: str, link_id: str, install_id: str, endpoint_id: str) -> str:
    """Return the ID of the delivery of the event to an endpoint: the same each time. All IDs are OpenTrain's."""
    return DELIVERY_PREFIX + _digest(install_id, contract_id, event.value, link_id, endpoint_id)


def is_reconstructed(named: str) -> bool:
    """Return whether a delivery's ID is one of Redeliver's own."""
    return named.startswith(DELIVERY_PREFIX)


def person_in(body: bytes, *, contract_id: str) -> Person | None:
    """Return who was hired, from the body of a logged event of this contract; None if it does not tell.

    The body may be anything: at most LOGGED_BYTES are read, within the limits of rules/json_limits.py.
    """
    if len(body) > LOGGED_BYTES:
        return None
    try:
        said = json_limits.loads(body)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("resourceId") != contract_id or not isinstance(said.get("data"), dict):
        return None
    told = said["data"].get("freelancer")
    return _person(told) if isinstance(told, dict) else None


def same_person(people: Collection[Person]) -> Person | None:
    """Return the person that all of these are, as the first one says; None if there is none, or more than one."""
    ids = {one.opentrain_user_id for one in people}
    return next(iter(people)) if len(ids) == 1 else None


def _person(told: dict[str, Any]) -> Person | None:
    user_id = told.get("opentrainUserId")
    if not isinstance(user_id, str) or not user_id.strip() or len(user_id) > ID_CHARS or not user_id.isprintable():
        return None
    texts = {name: told.get(wire) for name, wire in _PERSON.items() if name != "opentrain_user_id"}
    return Person(user_id, **{name: _text(value) for name, value in texts.items()})


def _text(value: object) -> str | None:
    """Return a text that is no longer than OpenTrain's are, without what is no text; None for anything else."""
    return storable(value, most=TEXT_CHARS) if isinstance(value, str) and 0 < len(value) <= TEXT_CHARS else None


def _freelancer(person: Person) -> dict[str, str | None]:
    texts = {wire: getattr(person, name) for name, wire in _PERSON.items()}
    told = {wire: None if text is None else _known(text) for wire, text in texts.items()}
    if person.work_email is None:
        del told["workEmail"]
    return told


def _link(link: LinkFields) -> dict[str, str | None]:
    return {
        "id": link.id,
        "jobId": _known(link.job_id),
        "externalProjectId": _known(link.external_project_id),
        "externalProjectName": _known(link.external_project_name),
        "externalProjectUrl": _known(link.external_project_url),
        "provisioningMode": _known(link.provisioning_mode),
        "createdAt": _time(link.created_at),
    }


def _known(text: str) -> str | None:
    """Return the text if it is OpenTrain's own, whole and without a mask."""
    return text if text and is_whole(text) and REDACTED not in text else None


def _time(moment: datetime | None) -> str | None:
    """Return a time as OpenTrain writes it: in UTC, with milliseconds."""
    if moment is None:
        return None
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _digest(*parts: str) -> str:
    """Return a digest of the parts. They are told apart, so that no two lists have the same."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGEST_CHARS]
