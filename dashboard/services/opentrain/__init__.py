"""OpenTrain's Partner API: the seven operations, each one function. Every failure is an `OpenTrainError`.

All of them take the install's `token` and raise, beside what each one names: `Unauthorized`, `Forbidden`,
`Unavailable` (`RateLimited` among them: try later), `BadResponse` and, where they write, `OutcomeUnknown`.

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
