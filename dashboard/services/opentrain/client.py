"""The operations, one function each. Import them from the package, whose docstring lists the errors."""

from collections.abc import Sequence

from dashboard.rules.installs import UnreadEntry
from dashboard.services.opentrain import contract_types, types
from dashboard.services.opentrain.call import Call, LongList, call
from dashboard.services.opentrain.contract_types import Budget, Contract, Participant, ProjectLink
from dashboard.services.opentrain.types import CreatedEndpoint, DeletedEndpoint, Install, Redelivery, WebhookEndpoint
from dashboard.vault import Secret

_ENDPOINTS = LongList("endpoints")
_LINKS = LongList("project links")
MOST_CONTRACTS = 200
"""The most contracts that one call returns; older ones cannot be reached."""
_LOOK_AT_ENDPOINT = "Check the endpoint before you repeat the request."
_LOOK_AT_LIST = "Check the list of endpoints before you repeat the request."
_LOOK_FOR_NEW = (
    f"{_LOOK_AT_LIST} If the new one is listed, its secret was lost with the answer: delete it and register it again."
)
_LOOK_AT_DELIVERIES = "Check the endpoint's deliveries before you repeat the request."


def get_install(*, token: Secret) -> Install:
    """Return the install that the token belongs to. Needs no scope."""
    return call(Call("GET", "/installs/current"), token=token, read=types.install)


def create_endpoint(*, token: Secret, url: str, event_types: Sequence[str]) -> CreatedEndpoint:
    """Register an endpoint. Only this response contains its secret. Raises: Rejected (400)."""
    payload = {"url": url, "eventTypes": list(event_types)}
    operation = Call("POST", "/webhook-endpoints", payload=payload, look=_LOOK_FOR_NEW)
    return call(operation, token=token, read=types.created)


def list_endpoints(*, token: Secret) -> tuple[WebhookEndpoint | UnreadEntry, ...]:
    """Return all of the install's endpoints, newest first, and after them the entries that cannot be read."""
    return call(Call("GET", "/webhook-endpoints", long=_ENDPOINTS), token=token, read=types.endpoints)


def get_endpoint(*, token: Secret, endpoint_id: str) -> WebhookEndpoint:
    """Return one endpoint. Raises: NotFound."""
    operation = Call("GET", "/webhook-endpoints/{id}", endpoint_id)
    return call(operation, token=token, read=types.about(endpoint_id, types.endpoint))


def update_endpoint(
    *,
    token: Secret,
    endpoint_id: str,
    url: str | None = None,
    event_types: Sequence[str] | None = None,
    status: str | None = None,
) -> WebhookEndpoint:
    """Change only the given fields. ACTIVE re-enables and resets consecutive failures to 0; DISABLED pauses.

    Raises: NotFound; Rejected (400).
    """
    types_ = None if event_types is None else list(event_types)
    payload = {"url": url, "eventTypes": types_, "status": status}
    given = {name: value for name, value in payload.items() if value is not None}
    operation = Call("PATCH", "/webhook-endpoints/{id}", endpoint_id, payload=given, look=_LOOK_AT_ENDPOINT)
    return call(operation, token=token, read=types.about(endpoint_id, types.endpoint))


def delete_endpoint(*, token: Secret, endpoint_id: str) -> DeletedEndpoint:
    """Delete an endpoint; its pending deliveries are discarded. Raises: NotFound."""
    operation = Call("DELETE", "/webhook-endpoints/{id}", endpoint_id, look=_LOOK_AT_LIST)
    return call(operation, token=token, read=types.about(endpoint_id, types.deleted))


def redeliver(*, token: Secret, endpoint_id: str, delivery_id: str | None = None) -> Redelivery:
    """Requeue one delivery in any status, or every FAILED one of the endpoint. Attempts follow within minutes, but only
    while the endpoint is ACTIVE.

    Raises: NotFound if the endpoint or the delivery does not exist; Rejected (400).
    """
    payload = {} if delivery_id is None else {"deliveryId": delivery_id}
    path = "/webhook-endpoints/{id}/redeliver"
    operation = Call("POST", path, endpoint_id, payload=payload, look=_LOOK_AT_DELIVERIES)
    return call(operation, token=token, read=types.about(endpoint_id, types.redelivery))


def list_project_links(*, token: Secret) -> tuple[ProjectLink | UnreadEntry, ...]:
    """Return all of the install's links, newest first, and after them the entries that cannot be read.

    Raises: Forbidden without project-links:read (or :write).
    """
    return call(Call("GET", "/project-links", long=_LINKS), token=token, read=contract_types.project_links)


def list_contracts(
    *, token: Secret, project_link_id: str | None = None, status: str | None = None, limit: int = MOST_CONTRACTS
) -> tuple[Contract | UnreadEntry, ...]:
    """Return at most `limit` contracts on linked jobs, newest first, and after them the entries that cannot be read.

    There is no cursor. `status` is active or ended.

    Raises: Forbidden without contracts:read; NotFound if the install has no such link; Rejected (400).
    """
    given = {"projectLinkId": project_link_id, "status": status, "limit": str(limit)}
    query = {name: value for name, value in given.items() if value is not None}
    return call(Call("GET", "/contracts", query=query), token=token, read=contract_types.contracts)


def list_participants(*, token: Secret, contract_id: str) -> tuple[Participant, ...]:
    """Return who was hired with a contract. This is personal data: do not store it.

    Raises: Forbidden without participants:read; NotFound.
    """
    operation = Call("GET", "/contracts/{id}/participants", contract_id, noun="contract")
    return call(operation, token=token, read=contract_types.participants(contract_id))


def get_budget(*, token: Secret, contract_id: str) -> Budget:
    """Return what is funded and consumed of a contract. Raises: Forbidden without contracts:read; NotFound."""
    operation = Call("GET", "/contracts/{id}/budget", contract_id, noun="contract")
    return call(operation, token=token, read=contract_types.budget(contract_id))
