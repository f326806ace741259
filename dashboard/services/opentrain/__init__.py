"""OpenTrain's Partner API: the seven operations, one function each. Every failure is an `OpenTrainError`.

All of them take the install's `token`. Besides the errors that each one documents, they raise `Unauthorized`,
`Forbidden`, `Unavailable` (including `RateLimited`: try later), `BadResponse` and, for writes, `OutcomeUnknown`.

Source: partner-api, "Operations".
"""

from dashboard.services.opentrain.client import (
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    get_install,
    list_endpoints,
    redeliver,
    update_endpoint,
)
from dashboard.services.opentrain.errors import (
    BadResponse,
    Forbidden,
    NotFound,
    OpenTrainError,
    OutcomeUnknown,
    RateLimited,
    Reason,
    Rejected,
    Unauthorized,
    Unavailable,
)
from dashboard.services.opentrain.types import (
    CreatedEndpoint,
    DeletedEndpoint,
    Install,
    PartnerApp,
    Redelivery,
    TokenInfo,
    WebhookEndpoint,
)

__all__ = [
    "BadResponse",
    "CreatedEndpoint",
    "DeletedEndpoint",
    "Forbidden",
    "Install",
    "NotFound",
    "OpenTrainError",
    "OutcomeUnknown",
    "PartnerApp",
    "RateLimited",
    "Reason",
    "Redelivery",
    "Rejected",
    "TokenInfo",
    "Unauthorized",
    "Unavailable",
    "WebhookEndpoint",
    "create_endpoint",
    "delete_endpoint",
    "get_endpoint",
    "get_install",
    "list_endpoints",
    "redeliver",
    "update_endpoint",
]
