"""The routes of `/api/partner/v1`. Each translates HTTP to one function call.

Source: partner-api, "Operations".
"""

import json
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI, Query
from ninja.errors import HttpError, ValidationError

from dashboard.partner_api import (
    bodies,
    clock,
    conf,
    contracts,
    document,
    endpoints,
    errors,
    links,
    policy,
    schemas,
)
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.auth import (
    any_token,
    manages_webhooks,
    reads_contracts,
    reads_links,
    reads_participants,
    writes_links,
    writes_usage,
)
from dashboard.partner_api.contracts import Entry
from dashboard.partner_api.endpoints import Changes
from dashboard.partner_api.errors import ApiError, BadRequest
from dashboard.partner_api.models import Token
from dashboard.partner_api.schemas import ContractOut, EndpointOut, ParticipantOut, ProjectLinkOut

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
    description="Link projects to jobs, read contracts and their budgets, report usage, and manage webhook endpoints.",
    parser=bodies.StrictParser(),
    openapi_url=None,
    docs_url=None,
    openapi_extra={"info": {"x-base-path": "/api/partner/v1"}},
)


def _errors(*statuses: int) -> dict[int, type[schemas.ErrorOut]]:
    """Return the errors of an operation: these, and those that every operation has."""
    return dict.fromkeys(sorted({401, 403, 429, 500, *statuses}), schemas.ErrorOut)


@api.get(
    "/installs/current",
    auth=any_token,
    by_alias=True,
    response={200: schemas.InstallAnswer, **_errors()},
    operation_id="getCurrentInstall",
)
def current_install(request: _Request) -> schemas.InstallAnswer:
    """Return the token's install, with the scopes of the token."""
    return schemas.InstallAnswer.of(request.auth)


@api.post(
    "/project-links",
    auth=writes_links,
    by_alias=True,
    response={200: schemas.ProjectLinkAnswer, **_errors(400, 404, 409)},
    operation_id="createProjectLink",
)
def create_link(request: _Request, body: schemas.ProjectLinkIn) -> schemas.ProjectLinkAnswer:
    """Link a project to a job. Events of the job's contracts come from now on; earlier contracts can be read."""
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    link = links.create(
        install_id=request.auth.install_id, new=links.NewLink(**sent), announcer=Announcer(), now=clock.now()
    )
    return schemas.ProjectLinkAnswer(project_link=ProjectLinkOut.of(link))


@api.get(
    "/project-links",
    auth=reads_links,
    by_alias=True,
    response={200: schemas.ProjectLinksAnswer, **_errors()},
    operation_id="listProjectLinks",
)
def list_links(request: _Request) -> schemas.ProjectLinksAnswer:
    """Return every link of the install, newest first."""
    found = links.newest_first(install_id=request.auth.install_id)
    return schemas.ProjectLinksAnswer(project_links=[ProjectLinkOut.of(link) for link in found])


@api.get(
    "/project-links/{linkId}",
    auth=reads_links,
    by_alias=True,
    response={200: schemas.ProjectLinkAnswer, **_errors(404)},
    operation_id="getProjectLink",
)
def get_link(request: _Request, linkId: str) -> schemas.ProjectLinkAnswer:  # noqa: N803 - the contract's name
    """Return one link."""
    found = links.get(install_id=request.auth.install_id, link_id=linkId)
    return schemas.ProjectLinkAnswer(project_link=ProjectLinkOut.of(found))


@api.delete(
    "/project-links/{linkId}",
    auth=writes_links,
    by_alias=True,
    response={200: schemas.ProjectLinkDeletedAnswer, **_errors(404)},
    operation_id="deleteProjectLink",
)
def delete_link(request: _Request, linkId: str) -> schemas.ProjectLinkDeletedAnswer:  # noqa: N803 - the contract's name
    """Delete a link for good. Events of the job's contracts stop, unless another link refers to it."""
    last = links.remove(install_id=request.auth.install_id, link_id=linkId, announcer=Announcer(), now=clock.now())
    return schemas.ProjectLinkDeletedAnswer(project_link=ProjectLinkOut.of(last), deleted=True)


@api.get(
    "/contracts",
    auth=reads_contracts,
    by_alias=True,
    response={200: schemas.ContractsAnswer, **_errors(400, 404)},
    operation_id="listContracts",
)
def list_contracts(request: _Request, query: Query[schemas.ContractsIn]) -> schemas.ContractsAnswer:
    """Return contracts on linked jobs, newest first. There is no cursor: older ones cannot be reached."""
    found = contracts.newest_first(
        install_id=request.auth.install_id,
        link_id=query.project_link_id if "project_link_id" in query.model_fields_set else None,
        status=query.status if "status" in query.model_fields_set else None,
        limit=query.limit,
    )
    return schemas.ContractsAnswer(contracts=[ContractOut.of(each.contract, link_ids=each.link_ids) for each in found])


@api.get(
    "/contracts/{contractId}/participants",
    auth=reads_participants,
    by_alias=True,
    exclude_defaults=True,
    response={200: schemas.ParticipantsAnswer, **_errors(404)},
    operation_id="listContractParticipants",
)
def list_participants(request: _Request, contractId: str) -> schemas.ParticipantsAnswer:  # noqa: N803 - the contract's name
    """Return who was hired with a contract. workEmail also needs participants:email and the customer's consent."""
    found = contracts.participants(install_id=request.auth.install_id, contract_id=contractId)
    shown = [ParticipantOut.of(each, with_email=request.auth.shows_email) for each in found]
    return schemas.ParticipantsAnswer(contract_id=contractId, participants=shown)


@api.get(
    "/contracts/{contractId}/budget",
    auth=reads_contracts,
    by_alias=True,
    response={200: schemas.BudgetOut, **_errors(404)},
    operation_id="getContractBudget",
)
def get_budget(request: _Request, contractId: str) -> schemas.BudgetOut:  # noqa: N803 - the contract's name
    """Return what is funded, consumed and left of a contract. Reading it emits nothing."""
    return contracts.budget_of(contracts.get(install_id=request.auth.install_id, contract_id=contractId))


@api.post(
    "/contracts/{contractId}/usage",
    auth=writes_usage,
    by_alias=True,
    response={200: schemas.UsageAnswer, **_errors(400, 404, 409)},
    operation_id="reportContractUsage",
)
def report_usage(
    request: _Request,
    contractId: str,  # noqa: N803 - the contract's name
    body: schemas.UsageIn,
) -> schemas.UsageAnswer:
    """Report work as totals of a worker's day. Repeating a report, or correcting it, counts nothing twice."""
    budget = contracts.report(
        contract_id=contractId,
        install_id=request.auth.install_id,
        entries=[_entry(each) for each in body.entries],
        announcer=Announcer(),
        now=clock.now(),
    )
    return schemas.UsageAnswer(contract_id=contractId, accepted=len(body.entries), budget=budget)


def _entry(sent: schemas.UsageEntryIn) -> Entry:
    names = {"worker_opentrain_user_id": "worker_id"}
    return Entry(**{names.get(name, name): getattr(sent, name) for name in sent.model_fields_set})


@api.post(
    "/webhook-endpoints",
    auth=manages_webhooks,
    by_alias=True,
    response={200: schemas.RegisteredAnswer, **_errors(400)},
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
    response={200: schemas.EndpointsAnswer, **_errors()},
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
    response={200: schemas.EndpointAnswer, **_errors(404)},
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
    response={200: schemas.EndpointAnswer, **_errors(400, 404)},
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
    response={200: schemas.DeletedAnswer, **_errors(404)},
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
    response={200: schemas.RedeliverAnswer, **_errors(400, 404)},
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
