"""The schemas of requests and responses; `openapi.json` is generated from them."""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from dashboard.partner_api import budgets, clock, conf, models, targets
from dashboard.partner_api.models import EventType, wire_time

EventName = Literal[
    "contract.started",
    "contract.ended",
    "project_link.created",
    "project_link.removed",
    "install.revoked",
    "milestone.funded",
    "milestone.budget_low",
    "milestone.budget_depleted",
]
Status = Literal["ACTIVE", "DISABLED"]
Time = Annotated[
    datetime,
    PlainSerializer(wire_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-06-12T10:00:00.000Z"]}),
]


Number = Annotated[
    Decimal,
    PlainSerializer(lambda value: int(value) if value == int(value) else float(value), return_type=float),
    WithJsonSchema({"type": "number"}),
]
ProvisioningMode = Literal["PARTNER_WEBHOOK", "MANAGED_ADAPTER"]
ContractStatus = Literal["active", "ended"]
PaymentType = Literal["PAY_PER_HOUR", "PAY_PER_LABEL", "FIXED_PRICE"]
BudgetState = Literal["OK", "LOW", "DEPLETED"]

MOST_CONTRACTS, USUAL_CONTRACTS = 200, 50
MOST_ENTRIES = 100
DAY_S = 24 * 60 * 60
_FARTHEST_AHEAD = timedelta(hours=14)
"""The zone that is farthest ahead of UTC: a day that has not begun there is in the future everywhere."""


def _known(value: object) -> object:
    if value not in EventType.values:
        raise ValueError(f"is not an event type; the event types are {', '.join(EventType.values)}")
    return value


def _distinct(values: list[str]) -> list[str]:
    doubled = sorted({value for value in values if values.count(value) > 1})
    if doubled:
        raise ValueError(f"must name each event type once; {', '.join(doubled)} appears more than once")
    return values


def _deliverable(url: str) -> str:
    return targets.check(url, allow_http_localhost=conf.knobs().allow_http_localhost)


Url = Annotated[
    str,
    AfterValidator(_deliverable),
    WithJsonSchema(
        {
            "type": "string",
            "format": "uri",
            "maxLength": targets.MAX_LENGTH,
            "description": "https; plain http for localhost only. No user name, password or fragment; printable ASCII.",
            "examples": ["https://your-platform.example.com/webhooks/opentrain"],
        }
    ),
]
EventTypes = Annotated[
    list[Annotated[EventName, BeforeValidator(_known)]],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]


def _without_defaults(schema: dict[str, Any]) -> None:
    """Remove the defaults of optional fields: leaving a field out is not the same as sending its default."""
    for field in schema["properties"].values():
        field.pop("default", None)


class _In(Schema):
    """A request's body. No value is converted, and an unknown key is refused instead of ignored."""

    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, json_schema_extra=_without_defaults
    )


class _Out(Schema):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class RegisterIn(_In):
    url: Url
    event_types: EventTypes


def _at_least_one(schema: dict[str, Any]) -> None:
    _without_defaults(schema)
    schema["minProperties"] = 1


class ChangeIn(_In):
    """Every field is optional, and none may be null; `model_fields_set` holds the fields that were sent."""

    model_config = ConfigDict(json_schema_extra=_at_least_one)

    url: Url = ""
    event_types: EventTypes = []
    status: Status = "ACTIVE"


class RedeliverIn(_In):
    """The body of a redelivery. Null is refused: a program that lost its ID must not requeue everything by mistake."""

    delivery_id: Annotated[str, Field(min_length=1, max_length=100, json_schema_extra={"pattern": "^[^\\u0000]*$"})] = (
        ""
    )


def _text(*, least: int = 1, most: int) -> Any:  # noqa: ANN401 - metadata of a field
    return Field(min_length=least, max_length=most, json_schema_extra={"pattern": "^[^\\u0000]*$"})


class ProjectLinkIn(_In):
    """The body of a new link. None of its fields may be null."""

    external_project_id: Annotated[str, _text(most=models.ProjectLink.EXTERNAL_ID_CHARS)]
    external_project_name: Annotated[str, _text(least=0, most=models.ProjectLink.NAME_CHARS)] = ""
    external_project_url: Annotated[str, _text(least=0, most=models.ProjectLink.URL_CHARS)] = ""
    job_id: Annotated[str, _text(most=100)] = ""
    provisioning_mode: ProvisioningMode = "PARTNER_WEBHOOK"


def _written_as_number(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError("must be a whole number")
    return value


class ContractsIn(Schema):
    """The query of the list of contracts. Nothing has a default but `limit`; `model_fields_set` holds what was sent."""

    model_config = ConfigDict(alias_generator=to_camel, json_schema_extra=_without_defaults)

    project_link_id: Annotated[str, Field(min_length=1)] = ""
    status: ContractStatus = "active"
    limit: Annotated[
        int,
        Field(ge=1, le=MOST_CONTRACTS, description=f"Without it: {USUAL_CONTRACTS}."),
        BeforeValidator(_written_as_number),  # last: pydantic drops from the document what follows it
    ] = USUAL_CONTRACTS


def _written_as_day(value: object) -> object:
    """Refuse everything but YYYY-MM-DD: a number, a time and a date of another form are not converted."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("must be a day, as in 2026-06-12")
    return value


def _past_or_today(day: date) -> date:
    if day > (clock.now() + _FARTHEST_AHEAD).date():
        raise ValueError("must not be in the future")
    return day


def _whole(value: object) -> object:
    """Convert 3.0 to 3: in JSON Schema both are integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Count = Annotated[int, Field(ge=0, le=models.Usage.MOST), BeforeValidator(_whole)]


class UsageEntryIn(_In):
    """What one worker did on one day, in all. A field that is left out keeps its stored value."""

    # A date is text in JSON, so this field alone is converted.
    work_date: Annotated[date, Field(strict=False), BeforeValidator(_written_as_day), AfterValidator(_past_or_today)]
    total_seconds: Annotated[int, Field(ge=0, le=DAY_S), BeforeValidator(_whole)] = 0
    tasks_completed: _Count = 0
    labels_completed: _Count = 0
    worker_opentrain_user_id: Annotated[str, _text(most=models.Usage.WORKER_CHARS)] = ""
    external_report_id: Annotated[str, _text(least=0, most=models.Usage.REPORT_CHARS)] = ""


class UsageIn(_In):
    entries: Annotated[list[UsageEntryIn], Field(min_length=1, max_length=MOST_ENTRIES)]


class ProjectLinkOut(_Out):
    id: str
    job_id: str | None
    external_project_id: str
    external_project_name: str | None
    external_project_url: str | None
    provisioning_mode: ProvisioningMode
    created_at: Time

    @classmethod
    def of(cls, link: models.ProjectLink) -> "ProjectLinkOut":
        return cls.model_validate({name: getattr(link, name) for name in cls.model_fields})


class ProjectLinkAnswer(_Out):
    project_link: ProjectLinkOut


class ProjectLinksAnswer(_Out):
    project_links: list[ProjectLinkOut]


class ProjectLinkDeletedAnswer(_Out):
    project_link: ProjectLinkOut
    deleted: Literal[True]


class ContractOut(_Out):
    id: str
    status: ContractStatus
    job_id: str
    title: str
    start_date: Time
    end_date: Time | None
    created_at: Time
    project_link_ids: list[str]

    @classmethod
    def of(cls, contract: models.Contract, *, link_ids: list[str]) -> "ContractOut":
        own = {name: getattr(contract, name) for name in cls.model_fields if name != "project_link_ids"}
        return cls.model_validate(own | {"project_link_ids": link_ids})


class ContractsAnswer(_Out):
    contracts: list[ContractOut]


class ParticipantOut(_Out):
    """An AI trainer. Without the permission to see it, the answer has no field workEmail."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    opentrain_user_id: str
    display_name: str
    country: str
    profile_url: str
    work_email: str = ""

    @classmethod
    def of(cls, participant: models.Participant, *, with_email: bool) -> "ParticipantOut":
        shown = [name for name in cls.model_fields if with_email or name != "work_email"]
        return cls.model_validate({name: getattr(participant, name) for name in shown})


class ParticipantsAnswer(_Out):
    contract_id: str
    participants: list[ParticipantOut]


class ConsumedOut(_Out):
    seconds: int
    hours: Number
    labels: int
    tasks: int


class MilestoneOut(_Out):
    id: str
    name: str
    amount_usd: Number
    volume: Number | None
    status: str

    @classmethod
    def of(cls, milestone: models.Milestone) -> "MilestoneOut":
        return cls.model_validate({name: getattr(milestone, name) for name in cls.model_fields})


class BudgetOut(_Out):
    contract_id: str
    payment_type: PaymentType | None
    state: BudgetState
    funded_volume: Number
    funded_amount_usd: Number
    consumed: ConsumedOut
    consumed_volume: Number
    remaining_volume: Number
    consumed_fraction: Number
    active_milestone: MilestoneOut | None
    last_usage_at: Time | None

    @classmethod
    def of(
        cls,
        contract: models.Contract,
        *,
        budget: budgets.Budget,
        active: models.Milestone | None,
        last_usage_at: datetime | None,
    ) -> "BudgetOut":
        consumed = budget.consumed
        return cls.model_validate(
            {
                "contract_id": contract.pk,
                "payment_type": contract.payment_type,
                "state": budget.state.value,
                "funded_volume": budget.funded_volume,
                "funded_amount_usd": budget.funded_amount_usd,
                "consumed": {name: getattr(consumed, name) for name in ConsumedOut.model_fields},
                "consumed_volume": budget.consumed_volume,
                "remaining_volume": budget.remaining_volume,
                "consumed_fraction": budget.consumed_fraction,
                "active_milestone": None if active is None else MilestoneOut.of(active),
                "last_usage_at": last_usage_at,
            }
        )


class UsageAnswer(_Out):
    contract_id: str
    accepted: int
    budget: BudgetOut


class EndpointOut(_Out):
    id: str
    url: str
    event_types: list[str]
    status: Status
    created_at: Time
    consecutive_failures: int
    disabled_at: Time | None
    disabled_reason: str | None

    @classmethod
    def of(cls, endpoint: models.Endpoint) -> "EndpointOut":
        return cls.model_validate({name: getattr(endpoint, name) for name in cls.model_fields})


class EndpointAnswer(_Out):
    webhook_endpoint: EndpointOut


class EndpointsAnswer(_Out):
    webhook_endpoints: list[EndpointOut]


class RegisteredAnswer(_Out):
    webhook_endpoint: EndpointOut
    secret: str = Field(repr=False)
    message: str


class DeletedAnswer(_Out):
    webhook_endpoint: EndpointOut
    deleted: Literal[True]


class RedeliverAnswer(_Out):
    webhook_endpoint: EndpointOut
    requeued: int
    message: str


class PartnerAppOut(_Out):
    id: str
    slug: str
    name: str


class TokenOut(_Out):
    id: str
    name: str
    scopes: list[str]


class InstallOut(_Out):
    id: str
    status: str
    scopes: list[str]
    pii_consent: bool
    organization_id: str
    created_at: Time
    partner_app: PartnerAppOut
    token: TokenOut


class InstallAnswer(_Out):
    install: InstallOut

    @classmethod
    def of(cls, token: models.Token) -> "InstallAnswer":
        install, app = token.install, token.install.app
        return cls(
            install=InstallOut(
                id=install.pk,
                status=install.status,
                scopes=install.scopes,
                pii_consent=install.pii_consent,
                organization_id=install.organization_id,
                created_at=install.created_at,
                partner_app=PartnerAppOut(id=app.pk, slug=app.slug, name=app.name),
                token=TokenOut(id=token.pk, name=token.name, scopes=token.granted),
            )
        )


def as_json(out: _Out) -> dict[str, Any]:
    """Return what the API answers for `out`, for the body of an event. workEmail is left out where it is not shown."""
    return out.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class ErrorOut(_Out):
    """Every response that is not 2xx."""

    error: str
    code: str
    request_id: str
    details: dict[str, Any]
