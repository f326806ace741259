"""The routes of `/api/partner/v1`. Each translates HTTP to one function call.

Source: partner-api, "Operations".
"""

import json
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from dashboard.partner_api import bodies, clock, conf, document, endpoints, errors, policy, schemas
from dashboard.partner_api.auth import any_token, manages_webhooks
from dashboard.partner_api.endpoints import Changes
from dashboard.partner_api.errors import ApiError, BadRequest
from dashboard.partner_api.models import Token
from dashboard.partner_api.schemas import EndpointOut

REGISTERED = (
    "Store the secret now: it is shown only this once. Deliveries are signed with it, "
    "and the endpoint gets the events that happen from now on."
)


class _Request(HttpRequest):
    """An authenticated request."""

    auth: Token


api = NinjaAPI(
    title="Partner API",
    version="1",
    urls_namespace="partner_api",
    description="Manage an install's webhook endpoints and redeliver failed deliveries.",
    parser=bodies.StrictParser(),
    openapi_url=None,
    docs_url=None,
    openapi_extra={"info": {"x-base-path": "/api/partner/v1"}},
)

_ERRORS = dict.fromkeys((400, 401, 403, 404, 429, 500), schemas.ErrorOut)
_WITHOUT_400 = dict.fromkeys((401, 403, 404, 429, 500), schemas.ErrorOut)
_WITHOUT_404 = dict.fromkeys((400, 401, 403, 429, 500), schemas.ErrorOut)
_PLAIN = dict.fromkeys((401, 403, 429, 500), schemas.ErrorOut)


@api.get(
    "/installs/current",
    auth=any_token,
    by_alias=True,
    response={200: schemas.InstallAnswer, **_PLAIN},
    operation_id="getCurrentInstall",
)
def current_install(request: _Request) -> schemas.InstallAnswer:
    """Return the token's install, with the scopes of the token."""
    return schemas.InstallAnswer.of(request.auth)


@api.post(
    "/webhook-endpoints",
    auth=manages_webhooks,
    by_alias=True,
    response={200: schemas.RegisteredAnswer, **_WITHOUT_404},
    operation_id="createWebhookEndpoint",
)
def register(request: _Request, body: schemas.RegisterIn) -> schemas.RegisteredAnswer:
    """Register an endpoint. Only this response contains its secret."""
    done = endpoints.register(
        install_id=request.auth.install_id, url=body.url, event_types=body.event_types, now=clock.now()
    )
    return schemas.RegisteredAnswer(
        webhook_endpoint=EndpointOut.of(done.endpoint), secret=done.secret, message=REGISTERED
    )


@api.get(
    "/webhook-endpoints",
    auth=manages_webhooks,
    by_alias=True,
    response={200: schemas.EndpointsAnswer, **_PLAIN},
    operation_id="listWebhookEndpoints",
)
def list_endpoints(request: _Request) -> schemas.EndpointsAnswer:
    """Return every endpoint of the install, newest first."""
    found = endpoints.newest_first(install_id=request.auth.install_id)
    return schemas.EndpointsAnswer(webhook_endpoints=[EndpointOut.of(endpoint) for endpoint in found])


@api.get(
    "/webhook-endpoints/{endpointId}",
    auth=manages_webhooks,
    by_alias=True,
    response={200: schemas.EndpointAnswer, **_WITHOUT_400},
    operation_id="getWebhookEndpoint",
)
def get_endpoint(request: _Request, endpointId: str) -> schemas.EndpointAnswer:  # noqa: N803 - the contract's name
    """Return one endpoint."""
    found = endpoints.get(install_id=request.auth.install_id, endpoint_id=endpointId)
    return schemas.EndpointAnswer(webhook_endpoint=EndpointOut.of(found))


@api.patch(
    "/webhook-endpoints/{endpointId}",
    auth=manages_webhooks,
    by_alias=True,
    response={200: schemas.EndpointAnswer, **_ERRORS},
    operation_id="updateWebhookEndpoint",
)
def change_endpoint(
    request: _Request,
    endpointId: str,  # noqa: N803 - the contract's name
    body: schemas.ChangeIn,
) -> schemas.EndpointAnswer:
    """Change an endpoint, pause it (DISABLED) or re-enable it (ACTIVE, which also resets consecutive failures)."""
    if not body.model_fields_set:
        raise BadRequest("There is nothing to change. Send one or more of url, eventTypes and status.")
    changes = Changes(**{name: getattr(body, name) for name in body.model_fields_set})
    changed = endpoints.change(
        install_id=request.auth.install_id, endpoint_id=endpointId, changes=changes, now=clock.now()
    )
    return schemas.EndpointAnswer(webhook_endpoint=EndpointOut.of(changed))


@api.delete(
    "/webhook-endpoints/{endpointId}",
    auth=manages_webhooks,
    by_alias=True,
    response={200: schemas.DeletedAnswer, **_WITHOUT_400},
    operation_id="deleteWebhookEndpoint",
)
def delete_endpoint(request: _Request, endpointId: str) -> schemas.DeletedAnswer:  # noqa: N803 - the contract's name
    """Delete an endpoint; its pending deliveries are discarded."""
    last = endpoints.delete(install_id=request.auth.install_id, endpoint_id=endpointId)
    return schemas.DeletedAnswer(webhook_endpoint=EndpointOut.of(last), deleted=True)


@api.post(
    "/webhook-endpoints/{endpointId}/redeliver",
    auth=manages_webhooks,
    by_alias=True,
    response={200: schemas.RedeliverAnswer, **_ERRORS},
    operation_id="redeliverWebhookDeliveries",
)
def redeliver(
    request: _Request,
    endpointId: str,  # noqa: N803 - the contract's name
    body: schemas.RedeliverIn,
) -> schemas.RedeliverAnswer:
    """Requeue one delivery, or every FAILED one. The next delivery run attempts them if the endpoint is ACTIVE."""
    done = endpoints.redeliver(
        install_id=request.auth.install_id,
        endpoint_id=endpointId,
        delivery_id=body.delivery_id if "delivery_id" in body.model_fields_set else None,
        now=clock.now(),
    )
    message = policy.requeue_message(active=done.endpoint.active, run_interval=conf.knobs().run_interval)
    return schemas.RedeliverAnswer(webhook_endpoint=EndpointOut.of(done.endpoint), requeued=done.count, message=message)


@api.get("/openapi.json", include_in_schema=False)
def openapi(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    """Return the API's contract; no token is needed."""
    return HttpResponse(json.dumps(document.describe(api)), content_type="application/json")


@api.exception_handler(ApiError)
def _on_api_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    return errors.from_exception(request, error)


@api.exception_handler(ValidationError)
def _on_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return errors.from_exception(request, bodies.explain(error.errors))


@api.exception_handler(HttpError)
def _on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Return the response for an error of the parser: ninja wraps it, so its cause is the original error."""
    cause: Any = error.__cause__
    if isinstance(cause, ApiError):
        return errors.from_exception(request, cause)
    return errors.crashed(request, error)


@api.exception_handler(RequestDataTooBig)
def _on_too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return errors.from_exception(request, BadRequest(bodies.TOO_LARGE))


@api.exception_handler(UnreadablePostError)
def _on_cut_off(request: HttpRequest, error: UnreadablePostError) -> HttpResponse:  # noqa: ARG001 - ninja's signature
    return errors.from_exception(request, BadRequest("The body was cut off on its way."))


@api.exception_handler(Exception)
def _on_crash(request: HttpRequest, error: Exception) -> HttpResponse:
    return errors.crashed(request, error)
