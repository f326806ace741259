"""What keeps a run from going on: a person's permission, an endpoint that was deleted or moved, or its status."""

from dashboard.actions import endpoint_changes
from dashboard.actions.runs.state import not_requested
from dashboard.auth.permissions import Permission, may
from dashboard.models import AuditEntry, Endpoint, Run, User
from dashboard.models.endpoints import DISABLED
from dashboard.rules.answers import is_unknown, unknown_status
from dashboard.rules.endpoints import Severity
from dashboard.rules.runs import Step

DELETED = "OpenTrain no longer has this endpoint: it was deleted elsewhere."


def obstacle(run: Run) -> tuple[Run.State, str] | None:
    """Return the state in which a run must end or pause now, and why; None if it can continue."""
    actor, endpoint = run.actor, run.endpoint
    if actor is None or not actor.is_active or not _may_go_on(actor, endpoint):
        return Run.State.STOPPED, f"{run.actor_name} no longer has permission to act on this endpoint."
    if endpoint.install.is_disconnected:
        return Run.State.STOPPED, f"The install was disconnected from Redeliver. {not_requested(run)}".strip()
    if endpoint.deleted_at is not None:
        return Run.State.STOPPED, f"{deleted_words(endpoint)} {not_requested(run)}".strip()
    if Step(run.step) in {Step.PROBE, Step.ENABLE}:
        return None
    return _stopped_by_move(run) or _stopped_by_status(run)


def _stopped_by_move(run: Run) -> tuple[Run.State, str] | None:
    """Return the same for an endpoint that left the receiver: its results can't be seen. None for any other."""
    endpoint = run.endpoint
    is_out = endpoint.is_moved or endpoint.is_bypassed
    if not is_out or endpoint.is_observed or Step(run.step) is Step.WATCH:
        return None
    why = "its URL was changed outside Redeliver" if endpoint.is_moved else "Redeliver was taken out of the path"
    words = (
        f"OpenTrain delivers this endpoint to {endpoint.shown_url}: {why}, so "
        "Redeliver cannot see whether deliveries succeed. Have OpenTrain deliver to the receiver again, then resume."
    )
    return Run.State.PAUSED, words


def _stopped_by_status(run: Run) -> tuple[Run.State, str] | None:
    """Return the same for the endpoint's status; None if OpenTrain attempts its deliveries.

    A run that only waits for results goes on with a status that Redeliver does not know: it requests nothing.
    """
    endpoint = run.endpoint
    if is_unknown(endpoint.status) and Step(run.step) is not Step.WATCH:
        why = unknown_status(endpoint.status)
        if run.kind == Run.Kind.BULK:
            return Run.State.PAUSED, f"{why} Recover the endpoint, or resume when it is active."
        return Run.State.STOPPED, f"{why} {not_requested(run)}".strip()
    if endpoint.status != DISABLED:
        return None
    if run.kind == Run.Kind.BULK:
        return Run.State.PAUSED, "The endpoint is disabled, so deliveries are stopped. Re-enable it, then resume."
    reason = f" OpenTrain gives the reason: {endpoint.disabled_reason}" if endpoint.disabled_reason else ""
    if endpoint.severity == Severity.PAUSED:
        return Run.State.STOPPED, f"The endpoint was paused, so deliveries are stopped.{reason}"
    why = "OpenTrain disabled the endpoint again."
    if _is_same_disable(run):
        why = "OpenTrain still shows the endpoint as disabled, although it confirmed that it is re-enabled."
    return Run.State.STOPPED, f"{why}{reason}"


def _is_same_disable(run: Run) -> bool:
    """Return whether the endpoint is disabled since before this run re-enabled it, as far as OpenTrain says."""
    enabled_at = run.steps.filter(name=Step.ENABLE).values_list("ended_at", flat=True).first()
    endpoint, learned_at = run.endpoint, run.endpoint.disable_learned_at
    if enabled_at is None or learned_at is None or endpoint.disabled_at != endpoint.auto_disabled_at:
        return False
    return learned_at < enabled_at


def _may_go_on(actor: User, endpoint: Endpoint) -> bool:
    return may(actor, Permission.OPERATE) and Endpoint.objects.visible_to(actor).filter(pk=endpoint.pk).exists()


def deleted_words(endpoint: Endpoint) -> str:
    """Say who deleted the endpoint: the user named in the audit, or someone elsewhere."""
    deletions = AuditEntry.objects.filter(
        endpoint=endpoint, action=endpoint_changes.DELETE, phase=AuditEntry.Phase.DONE
    )
    deletion = deletions.order_by("-id").first()
    return DELETED if deletion is None else f"{deletion.actor_name} deleted this endpoint."
