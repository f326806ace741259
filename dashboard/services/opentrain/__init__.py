"""OpenTrain's Partner API: the operations that Redeliver needs, one function each. Failures are `OpenTrainError`s.

All of them take the install's `token`. Besides the errors that each one documents, they raise `Unauthorized`,
`Forbidden`, `Unavailable` (including `RateLimited`: try later), `BadResponse` and, for writes, `OutcomeUnknown`.

Source: partner-api, "Operations" and "Links, contracts and budgets".
"""

from dashboard.services.opentrain.client import (
    create_endpoint,
    delete_endpoint,
    get_budget,
    get_endpoint,
    get_install,
    list_contracts,
    list_endpoints,
    list_participants,
    list_project_links,
    redeliver,
    update_endpoint,
)
from dashboard.services.opentrain.contract_types import Budget, Contract, Milestone, Participant, ProjectLink
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
    "Budget",
    "Contract",
    "CreatedEndpoint",
    "DeletedEndpoint",
    "Forbidden",
    "Install",
    "Milestone",
    "NotFound",
    "OpenTrainError",
    "OutcomeUnknown",
    "Participant",
    "PartnerApp",
    "ProjectLink",
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
    "get_budget",
    "get_endpoint",
    "get_install",
    "list_contracts",
    "list_endpoints",
    "list_participants",
    "list_project_links",
    "redeliver",
    "update_endpoint",
]
