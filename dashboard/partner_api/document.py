"""`openapi.json`: django-ninja's schema of the routes, completed with what django-ninja cannot express: response
headers, descriptions of the statuses, and links from a response's ID to the operations that take it.

Source: partner-api, "Error envelope" and "Operations".
"""

from typing import Any

from ninja import NinjaAPI

PATH = "/api/partner/v1"

_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_REQUEST_ID = {
    "description": "The ID of this request, also the requestId of an error. Quote it to support.",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_HEADERS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}}},
    "429": {
        "Retry-After": {
            "description": "Seconds until the token may call again.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
_WORDS = {
    "200": "Done",
    "400": "The request cannot be understood; the error says which field and why",
    "401": "The token is missing, malformed, unknown or revoked",
    "403": "The token lacks the scope, or the install or app is not ACTIVE, or the feature is off",
    "404": "This install has nothing with this ID",
    "409": "It cannot be done in the state that things are in, or it has been done",
    "429": "The token calls too often",
    "500": "Something went wrong on our side",
}
_OF_ENDPOINT = (
    "getWebhookEndpoint",
    "updateWebhookEndpoint",
    "redeliverWebhookDeliveries",
    "deleteWebhookEndpoint",
)
_OF_LINK = ("getProjectLink", "deleteProjectLink")
_LINKS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "createWebhookEndpoint": ("/webhookEndpoint/id", {"endpointId": _OF_ENDPOINT}),
    "listWebhookEndpoints": ("/webhookEndpoints/0/id", {"endpointId": _OF_ENDPOINT}),
    "updateWebhookEndpoint": ("/webhookEndpoint/id", {"endpointId": _OF_ENDPOINT}),
    "createProjectLink": ("/projectLink/id", {"linkId": _OF_LINK, "projectLinkId": ("listContracts",)}),
    "listProjectLinks": ("/projectLinks/0/id", {"linkId": _OF_LINK, "projectLinkId": ("listContracts",)}),
}
"""For each operation where its answer has an ID, and, by parameter, the operations that take it."""


def describe(api: NinjaAPI) -> dict[str, Any]:
    """Return the whole document."""
    document: dict[str, Any] = api.get_openapi_schema(path_prefix=f"{PATH}/")
    for item in document["paths"].values():
        for method, operation in item.items():
            if method in _METHODS:
                _complete(operation)
    return document


def _complete(operation: dict[str, Any]) -> None:
    operation["responses"] = {str(status): answer for status, answer in operation["responses"].items()}
    for status, answer in operation["responses"].items():
        answer["description"] = _WORDS[status]
        answer["headers"] = {"X-Request-Id": _REQUEST_ID, **_HEADERS.get(status, {})}
    pointer, takers = _LINKS.get(operation["operationId"], ("", {}))
    if pointer:
        operation["responses"]["200"]["links"] = {
            target: {"operationId": target, "parameters": {parameter: f"$response.body#{pointer}"}}
            for parameter, targets in takers.items()
            for target in targets
        }
