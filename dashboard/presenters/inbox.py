"""The inbox: its headline and totals, and the primary control of each row."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import reverse

from dashboard.actions.installs.freshness import NO_WORKER
from dashboard.auth.permissions import Permission, may
from dashboard.forms import contract_filters
from dashboard.models import Endpoint, Install, Run, User
from dashboard.presenters import controls
from dashboard.presenters.controls import MAIN, Control, Link
from dashboard.presenters.may_be_missing import InboxWindows
from dashboard.presenters.rows import RECOVERED, health_of
from dashboard.presenters.runs import RunRow
from dashboard.queries.consequences import InstallNeed
from dashboard.rules.consequences import Known, Need, joined
from dashboard.rules.endpoints import HealthKind
from dashboard.rules.reconciliation import Event
from dashboard.rules.runs import Step

_STOPPED = {HealthKind.DISABLED, HealthKind.PAUSED}


@dataclass(frozen=True, slots=True)
class Sums:
    """Numbers of all endpoints, of healthy ones, and of ones with unknown status."""

    endpoints: int
    fine: int
    unknown: int
    is_known: bool
    """Whether any install was polled; otherwise `fine` means nothing."""
    left: int = 0
    """Disconnected installs. Their endpoints are in none of the numbers."""

    @property
    def words(self) -> str:
        """Return "1,200 endpoints healthy · 3 unknown"."""
        fine = f"{self.fine:,} endpoint{_s(self.fine)} healthy" if self.is_known else "— endpoints healthy"
        return f"{fine} · {self.unknown:,} unknown" if self.unknown else fine

    @property
    def left_words(self) -> str:
        """Say that nothing is known of disconnected installs; empty without any."""
        if not self.left:
            return ""
        are, their = ("is", "its") if self.left == 1 else ("are", "their")
        return f"{self.left:,} install{_s(self.left)} {are} disconnected, so nothing is known of {their} endpoints."


@dataclass(frozen=True, slots=True)
class AllClear:
    """The inbox while nothing needs attention. `begins` is emphasized; `goes_on` and `contracts` follow it."""

    icon: str
    tone: str
    begins: str
    goes_on: str
    control: Control | None = None
    contracts: str = ""
    """What is known of contracts' events; empty if nothing is to be said of them."""


@dataclass(frozen=True, slots=True)
class Concerned:
    """The endpoints that an install's problem affects, and their last known state."""

    endpoints: str
    were: str


@dataclass(frozen=True, slots=True)
class Followed:
    """A run in progress, and the link to its page."""

    row: RunRow
    control: Link


@dataclass(frozen=True, slots=True)
class Tried:
    """The last run of an endpoint, which stopped: who started it, when and why it stopped. It is not tried any more."""

    run: int
    begins: str
    at: datetime
    words: str
    is_canary: bool


@dataclass(frozen=True, slots=True)
class ContractNeed:
    """What contracts of an install need: a chip, one sentence, and the link to these contracts."""

    install_id: int
    contracts: int
    kind: str
    label: str
    words: str
    control: Link


@dataclass(frozen=True, slots=True)
class ContractNeeds:
    """What contracts need: those that need attention, and, quieter, those whose events may still come."""

    urgent: tuple[ContractNeed, ...] = ()
    quiet: tuple[ContractNeed, ...] = ()
    contracts: int = 0
    """Contracts that need attention, each once."""
    more: bool = False
    """Whether there are more of them than counted."""
    left: int = 0
    """Needs that are not shown."""


NO_NEEDS = ContractNeeds()


def contract_needs(found: Sequence[InstallNeed], *, most: int, handler: str, now: datetime) -> ContractNeeds:
    """Return the first `most` of what contracts need, in the given order, and how many contracts need attention.

    `handler` is what the reader calls the handler of an endpoint.
    """
    urgent = [one.affected for one in found if one.affected.need.needs_attention]
    shown = [_contract_need(one, handler=handler, now=now) for one in found[:most]]
    return ContractNeeds(
        urgent=tuple(one for one in shown if Need(one.kind).needs_attention),
        quiet=tuple(one for one in shown if not Need(one.kind).needs_attention),
        contracts=sum(one.first_counted for one in urgent),
        more=any(one.more for one in urgent),
        left=len(found) - len(shown),
    )


def _contract_need(found: InstallNeed, *, handler: str, now: datetime) -> ContractNeed:
    affected, need = found.affected, found.affected.need
    only = {} if need.needs_attention else {"event": Event.ENDED.value}
    query = contract_filters.link_query({"finding": need.value} | only)
    label = f"Open contract{_s(affected.contracts)}"
    contracts = Link(
        label,
        f"{reverse('install-contracts', args=[found.install_id])}?{query}",
        look=MAIN if need.needs_attention else "",
        called=f"{label} of {found.install_name}: {need.label}",
    )
    words = affected.words(install=found.install_name, handler=handler, now=now)
    return ContractNeed(found.install_id, affected.contracts, need.value, need.label, words, contracts)


@dataclass(frozen=True, slots=True)
class InboxCount:
    """How many contracts, endpoints and installs need attention. `more`: there are more contracts than counted."""

    number: int
    more: bool = False

    @property
    def text(self) -> str:
        """Return "3", or "1,000+" if there are more; empty if nothing needs attention."""
        return f"{self.number:,}{'+' * self.more}" if self.number else ""

    @property
    def words(self) -> str:
        """Return the same for people who hear it: "3 need attention"."""
        return f"{self.text} need{'s' * (self.number == 1 and not self.more)} attention" if self.number else ""


def inbox_count(*, endpoints: int, installs: int, needs: ContractNeeds) -> InboxCount:
    """Count what the headline counts."""
    return InboxCount(needs.contracts + endpoints + installs, needs.more)


def headline(*, endpoints: int, installs: int, needs: ContractNeeds = NO_NEEDS, alerts: int = 0, is_known: bool) -> str:
    """Return "3 contracts, 2 endpoints and 1 install need attention", or that all is clear.

    `alerts` are open alerts. `is_known`: the state of everything was read lately.
    """
    total = inbox_count(endpoints=endpoints, installs=installs, needs=needs).number
    if not total:
        if alerts:
            return f"{alerts:,} open alert{_s(alerts)}"
        return "All clear" if is_known else "All clear, as far as is known"
    counted = [(needs.contracts, "contract"), (endpoints, "endpoint"), (installs, "install")]
    parts = [f"{count:,} {name}{_s(count)}" for count, name in counted if count]
    what = f"{'more than ' if needs.more else ''}{joined(parts)}"
    return f"{what[:1].upper()}{what[1:]} {'needs' if total == 1 else 'need'} attention"


def all_clear(
    sums: Sums,
    *,
    alerts: int,
    is_watched: bool,
    contracts: Known = Known(),  # noqa: B008 - frozen
    windows: InboxWindows = InboxWindows(),  # noqa: B008 - frozen
    user: User,
) -> AllClear:
    """Say how endpoints and contracts are while nothing needs attention, without reassuring where nothing proves it.

    `alerts` are open alerts. `is_watched`: a worker reads from OpenTrain and looks for problems. `contracts` is what is
    known of contracts' events, and `windows` are times of which events may be missing, or that people checked.
    """
    found = _all_clear(sums, alerts=alerts, is_watched=is_watched, user=user)
    for words in filter(None, (sums.left_words, windows.words, windows.checked_words)):
        found = replace(found, goes_on=f"{found.goes_on} {words}")
    is_proven = contracts.is_clear and not windows.words
    if alerts or not is_watched or not sums.endpoints:
        return found
    if is_proven:
        return replace(found, contracts=contracts.words)
    icon, tone = ("info-circle", "tone-idle") if found.icon == "circle-check" else (found.icon, found.tone)
    return replace(found, icon=icon, tone=tone, contracts=contracts.words)


def _all_clear(sums: Sums, *, alerts: int, is_watched: bool, user: User) -> AllClear:
    if alerts:
        begins = "1 alert is still open." if alerts == 1 else f"{alerts:,} alerts are still open."
        control = Link("View alerts", reverse("alert-list"), look=MAIN)
        return AllClear("alert-triangle", "tone-warn", begins, "", control)
    if not is_watched:
        return AllClear("help-circle", "tone-idle", "", NO_WORKER)
    if not sums.endpoints:
        return _none_registered(user)
    if sums.unknown:
        begins = f"{sums.fine:,} endpoint{' is' if sums.fine == 1 else 's are'} healthy." if sums.fine else ""
        others = f"{'other' if sums.fine else 'endpoint'}{_s(sums.unknown)}"
        goes_on = f" The status of {sums.unknown:,} {others} is unknown."
        return AllClear("help-circle", "tone-idle", begins, goes_on)
    if sums.fine == sums.endpoints:
        begins = "The endpoint is healthy." if sums.fine == 1 else f"All {sums.fine:,} endpoints are healthy."
        return AllClear("circle-check", "", begins, "")
    paused = sums.endpoints - sums.fine
    begins = f"{sums.fine:,} of {sums.endpoints:,} endpoints {'is' if sums.fine == 1 else 'are'} healthy"
    goes_on = f"; {paused:,} {'was' if paused == 1 else 'were'} paused manually."
    return AllClear("circle-check", "", begins, goes_on)


def helps_endpoint(
    endpoint: Endpoint,
    *,
    failed: int,
    run: RunRow | None,
    is_install_in_need: bool,
    enable: uuid.UUID,
    redeliver: uuid.UUID,
    user: User,
) -> Control | None:
    """Return the primary control of an endpoint; None if this user can do nothing.

    `enable` and `redeliver` are the IDs of the buttons' operations.
    """
    needs_token = is_install_in_need and endpoint.install.new_token_helps
    if needs_token and may(user, Permission.MANAGE_INSTALLS):
        return controls.replace_token(endpoint.install_id)
    if run is not None:
        return follow(run, is_first=True)
    if is_install_in_need or not may(user, Permission.OPERATE):
        return None
    return _repairs(endpoint, failed=failed, enable=enable, redeliver=redeliver)


def _repairs(endpoint: Endpoint, *, failed: int, enable: uuid.UUID, redeliver: uuid.UUID) -> Control | None:
    kind = health_of(endpoint).kind
    if failed and kind in RECOVERED:
        return controls.recover(endpoint.pk)
    if kind in _STOPPED:
        return controls.enable(endpoint.pk, enable).first()
    if kind is HealthKind.ACTIVE and failed:
        return controls.redeliver_failed(endpoint.pk, redeliver).first()
    return None


def helps_install(install: Install, *, user: User) -> Control | None:
    """Return the primary control of an install that needs attention; None if this user can do nothing."""
    if install.new_token_helps and may(user, Permission.MANAGE_INSTALLS):
        return controls.replace_token(install.pk)
    return None


def concerned(install: Install) -> Concerned | None:
    """Return the endpoints that the problem affects; None if the install has no known endpoint."""
    count, needing = install.endpoint_count, install.needing_count
    if not count:
        return None
    if count == 1:
        return Concerned("1 endpoint", "it needed attention" if needing else "it was not disabled or failing")
    if not needing:
        return Concerned(f"{count:,} endpoints", "none of them was disabled or failing")
    return Concerned(f"{count:,} endpoints", f"{needing:,} of them needed attention")


def followed(row: RunRow) -> Followed:
    """Return a run with the link to its page. The link of a paused run is primary, because it waits for a person."""
    return Followed(row, follow(row, is_first=row.run.state == Run.State.PAUSED))


def tried(run: Run) -> Tried | None:
    """Return how an endpoint's newest run stopped; None if it did not, or if its end is not known."""
    if run.state != Run.State.STOPPED or run.ended_at is None:
        return None
    is_recovery = run.kind == Run.Kind.RECOVERY
    if run.by_person:
        begins, words = f"{run.actor_name}'s {run.get_kind_display().lower()} ended", first_sentence(run.why)
    else:
        begins = f"{run.actor_name} tried" if is_recovery else f"{run.actor_name}'s redelivery stopped"
        words = first_sentence(run.why)
    return Tried(run.pk, begins, run.ended_at, words, is_canary=is_recovery and run.step == Step.CANARY)


def first_sentence(why: str) -> str:
    """Return the first sentence of why a run stopped, as it goes on after a colon: "the handler returned 503"."""
    sentence = why.partition(". ")[0].rstrip(".")
    if sentence.startswith("OpenTrain"):  # a name
        return f"{sentence}."
    return f"{sentence[:1].lower()}{sentence[1:]}." if sentence else "no reason is recorded."


def follow(row: RunRow, *, is_first: bool) -> Link:
    """Return the link to the page of a run."""
    url = reverse("run-detail", args=[row.run.pk])
    return Link("Follow it", url, icon="refresh", look=MAIN if is_first else "")


def fleet_label(*, installs: int, has_more: bool, is_search: bool) -> str:
    """Return the label of the link to the list of installs, of which the inbox shows the first."""
    if is_search:
        return "View all matches"
    return f"View all {installs:,} installs" if has_more else "View all installs"


def _none_registered(user: User) -> AllClear:
    goes_on, control = ", as far as OpenTrain has reported.", None
    if may(user, Permission.MANAGE_ENDPOINTS):
        goes_on += " Register one on its install's page."
        control = Link("Choose an install", reverse("install-list"), look=MAIN)
    return AllClear("info-circle", "tone-idle", "No endpoint is registered yet", goes_on, control)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
