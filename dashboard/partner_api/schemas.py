"""The schemas of requests and responses; `openapi.json` is generated from them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from dashboard.partner_api import conf, models, targets
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


class ErrorOut(_Out):
    """Every response that is not 2xx."""

    error: str
    code: str
    request_id: str
    details: dict[str, Any]
