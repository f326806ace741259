"""Models, constraints and QuerySets; one module per noun."""

from dashboard.models.alerts import Alert, AlertChannel, AlertDelivery, AlertNews
from dashboard.models.audit import AuditEntry, Unanswered
from dashboard.models.cache import CacheEntry
from dashboard.models.contracts import Contract, ContractChange, ProjectLink, Reconciliation
from dashboard.models.deliveries import Attempt, Delivery, RefusedAttempt
from dashboard.models.endpoints import Endpoint, EndpointWrite
from dashboard.models.findings import Evidence, Finding, Handover
from dashboard.models.history import EndpointSnapshot, InstallSnapshot, Silence, WindowCheck
from dashboard.models.installs import Install
from dashboard.models.members import Grant, Role, User
from dashboard.models.pacing import ObservationPace
from dashboard.models.receivers import HandlerCheck, ReceiverPresence, ReceiverReport
from dashboard.models.rotations import Rotation
from dashboard.models.runs import Run, RunItem, RunStep

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "AlertNews",
    "Attempt",
    "AuditEntry",
    "CacheEntry",
    "Contract",
    "ContractChange",
    "Delivery",
    "Endpoint",
    "EndpointSnapshot",
    "EndpointWrite",
    "Evidence",
    "Finding",
    "Grant",
    "HandlerCheck",
    "Handover",
    "Install",
    "InstallSnapshot",
    "ObservationPace",
    "ProjectLink",
    "ReceiverPresence",
    "ReceiverReport",
    "Reconciliation",
    "RefusedAttempt",
    "Role",
    "Rotation",
    "Run",
    "RunItem",
    "RunStep",
    "Silence",
    "Unanswered",
    "User",
    "WindowCheck",
]
