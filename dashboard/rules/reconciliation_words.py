"""What a verdict on an event of a contract says, what it means and what to do. Every page uses these words.

They say no more than is known. IDs of links are the only text from outside in them, and are not escaped here.
"""

from dataclasses import dataclass
from datetime import datetime

from dashboard.rules.durations import ago, clock
from dashboard.rules.handler_names import THE_HANDLER, calling
from dashboard.rules.reconciliation_facts import Consequence, Event, Kind, Reason, Verdict

LINKS_NAMED = 3
"""Most links that a sentence names."""

# In the sentences: {name} is the event's type, {did} what the contract did, {happened} that and when, {at} when the
# verdict says so, {next} when the next attempt is expected, {still} until when it may come.
_SENTENCES = {
    Kind.NOT_DUE: "No {name} is due: OpenTrain lists the contract as active.",
    Kind.TAKEN: "The handler took {name}{at}.",
    Kind.TAKEN_IN_PART: "The handler took {name}{at} for at least one of several project links. "
    "For the others it is not known.",
    Kind.RETRYING: "The handler has not taken {name}: the last attempt failed{at}, and {next}.",
    Kind.REQUESTED: "The handler has not taken {name}: it was requested again, and {next}.",
    Kind.NOT_SEEN_YET: "{happened}, and no {name} has arrived yet. It may still come{still}.",
    Kind.FAILED: "The handler did not take {name}: the last attempt failed{at}, and OpenTrain will not retry "
    "automatically.",
    Kind.REFUSED: "No {name} was accepted. The receiver refused a {name} request{at}, which may have been this one.",
    Kind.OUT_OF_ORDER: "The handler took contract.started{at}, after it had taken {name}.",
}
_HANDED_OVER = "The handler took {name}{at}. Redeliver had built it and handed it over."
_DELETED = "No {name} is due: the endpoint was deleted before the contract {did}."
_WHY_NOT_SEEN = {
    Reason.NOT_IN_LOG_YET: "{happened}, and no {name} is in the log. A receiver holds attempts that are not in the log "
    "yet, and it may be among them.",
    Reason.NOT_SUBSCRIBED: "{happened}, and the endpoint did not subscribe to {name} when it was last read. So none is "
    "expected.",
}
_BEHIND = "A receiver holds attempts that are not in the log yet, so this may have changed."
_MAY_CHANGE = frozenset({Kind.MISSING, Kind.REFUSED, Kind.FAILED})
_WHY_MISSING = {
    Reason.REGISTERED_AFTER: "{happened}, before the endpoint was registered. OpenTrain sends a new endpoint nothing "
    "from before.",
    Reason.NOT_SUBSCRIBED: "{happened}, when the endpoint did not subscribe to {name}. So OpenTrain did not send it.",
    Reason.DISABLED: "{happened}, while the endpoint was disabled, and no {name} arrived.",
    Reason.PAUSED: "{happened}, while the endpoint was paused, and no {name} arrived.",
    Reason.LINKED_AFTER: "{happened}, before any project link of its job that Redeliver knows of. OpenTrain sends "
    "{name} only for jobs that are linked at that moment.",
    Reason.NO_LINK: "{happened}, when no project link of its job was left that Redeliver knows of. OpenTrain sends "
    "{name} only for jobs that are linked at that moment.",
    Reason.INSTALL_NOT_ACTIVE: "{happened}, while the install was not active. OpenTrain sends events only for active "
    "installs.",
    Reason.RECEIVER_AWAY: "{happened}, while no receiver of Redeliver ran that could accept {name}.",
}
_UNPROVEN = (
    "{happened}, and no {name} arrived: OpenTrain did not send it, or it was lost on the way. It is not known which."
)
_WHY_NOT_KNOWN = {
    Reason.NO_LOG: "OpenTrain delivers past Redeliver, and the handler did not report it",
    Reason.OUT_OF_PATH: "OpenTrain delivered past Redeliver then, or may have",
    Reason.BEFORE_LOG: "the log of this endpoint does not surely reach back to that time",
}
_WHY_NOT_DUE = {
    Reason.STATUS_UNKNOWN: "OpenTrain reports a status that Redeliver does not know",
    Reason.NOT_LISTED: "OpenTrain no longer lists the contract, which it does only while its job is linked",
}
_REASON_LABELS = {
    Reason.REGISTERED_AFTER: "registered after",
    Reason.NOT_SUBSCRIBED: "not subscribed then",
    Reason.DISABLED: "disabled then",
    Reason.PAUSED: "paused then",
    Reason.LINKED_AFTER: "linked after",
    Reason.NO_LINK: "no link then",
    Reason.INSTALL_NOT_ACTIVE: "install not active then",
    Reason.RECEIVER_AWAY: "receiver away then",
    Reason.UNPROVEN: "not sent or lost",
    Reason.NO_LOG: "no log",
    Reason.OUT_OF_PATH: "out of Redeliver's path then",
    Reason.BEFORE_LOG: "before the log",
    Reason.STATUS_UNKNOWN: "unknown status",
    Reason.NOT_LISTED: "no longer listed",
}
_MEANS = {
    Consequence.ACCESS: "a person may still have access",
    Consequence.PROVISION: "a person may have no access",
}
_HAND_OVER = "Hand it over if the handler needs it."
_REDELIVER_OR_HAND_OVER = "Redeliver all failed may bring it. If it does not, hand it over."
_ADVICE = {
    Kind.TAKEN_IN_PART: "Check in the handler whether it took the event for each project.",
    Kind.RETRYING: "Find out why the handler fails before the retries end.",
    Kind.NOT_SEEN_YET: "Wait. Redeliver checks again automatically.",
    Kind.REQUESTED: "Wait for the next delivery run.",
    Kind.FAILED: "Fix the cause, then redeliver it.",
    Kind.REFUSED: "Fix what the receiver refuses, such as a wrong signing secret. Then redeliver all failed.",
    Kind.OUT_OF_ORDER: "Check that the person has no access. If in doubt, hand over {name} again.",
    Kind.NOT_KNOWN: "Check in the handler whether it knows of this.",
    Kind.MISSING: _REDELIVER_OR_HAND_OVER,
}
_ADVICE_BY_REASON = {
    Reason.NOT_SUBSCRIBED: "If the handler needs it, add {name} to the endpoint's event types, and hand this one over.",
    Reason.REGISTERED_AFTER: _HAND_OVER,
    Reason.LINKED_AFTER: _HAND_OVER,
    Reason.NO_LINK: _HAND_OVER,
    Reason.INSTALL_NOT_ACTIVE: _HAND_OVER,
    Reason.DISABLED: f"Re-enable the endpoint if it is still disabled. {_REDELIVER_OR_HAND_OVER}",
    Reason.PAUSED: f"Re-enable the endpoint if it is still paused. {_REDELIVER_OR_HAND_OVER}",
    Reason.NOT_IN_LOG_YET: "Check why the receiver cannot write to the log.",
    Reason.STATUS_UNKNOWN: "",
    Reason.NOT_LISTED: "Ask the customer whether it has ended, or link its job again.",
}
_LEAVE_IT = "Leave it: the contract has ended, and a start that arrives now may give access back."


@dataclass(frozen=True, slots=True)
class Words:
    """A verdict in words. `label` is for tables; `meaning` and `advice` are empty where nothing is to be said."""

    label: str
    sentence: str
    meaning: str
    advice: str

    @property
    def full(self) -> str:
        """Return everything but the label, for copying."""
        return " ".join(part for part in (self.sentence, self.meaning, self.advice) if part)


def label(verdict: Verdict, *, now: datetime) -> str:
    """Return a verdict in a few words: "Taken 3 min ago", "Missing: disabled then"."""
    reason = _REASON_LABELS.get(verdict.reason)
    if verdict.kind in {Kind.MISSING, Kind.NOT_KNOWN, Kind.NOT_SEEN_YET} and reason:
        return f"{verdict.kind.label}: {reason}"
    if verdict.kind is Kind.NOT_SEEN_YET and verdict.until is not None:
        return f"Not seen yet, may come until {clock(then=verdict.until, now=now)}"
    if verdict.kind is Kind.TAKEN_IN_PART:
        return "Taken for at least one link"
    if verdict.kind is Kind.REQUESTED:
        return "Requested again"
    name = "Handed over" if verdict.kind is Kind.TAKEN and verdict.handed_over else verdict.kind.label
    if verdict.at is not None and verdict.kind in {Kind.TAKEN, Kind.FAILED}:
        return f"{name} {ago(then=verdict.at, now=now)}"
    return name


def words(
    *,
    event: Event,
    verdict: Verdict,
    now: datetime,
    consequence: Consequence = Consequence.NONE,
    has_ended: bool = False,
    handler: str = THE_HANDLER,
) -> Words:
    """Return a verdict in words.

    `has_ended` is whether the contract has: its start must not be sent any more. `handler` is what the reader calls
    it: "your handler" to partner admins.
    """
    sentence = calling(_template(verdict).format(**_blanks(event, verdict, now=now)), handler)
    if verdict.link_ids:
        sentence = f"{sentence} {_of_links(verdict.link_ids)}"
    if verdict.is_log_behind and verdict.kind in _MAY_CHANGE:
        sentence = f"{sentence} {_BEHIND}"
    advice = _advice(event, verdict, has_ended=has_ended)
    return Words(
        label(verdict, now=now),
        sentence,
        calling(_meaning(verdict, consequence), handler),
        calling(advice, handler),
    )


def _template(verdict: Verdict) -> str:
    if verdict.kind is Kind.MISSING:
        return _WHY_MISSING.get(verdict.reason, _UNPROVEN)
    if verdict.kind is Kind.NOT_KNOWN:
        why = _WHY_NOT_DUE.get(verdict.reason)
        if why is not None:
            return f"Whether {{name}} is due is not known: {why}."
        why = _WHY_NOT_KNOWN.get(verdict.reason, "nothing proves it")
        return f"Whether the handler took {{name}} is not known: {why}."
    if verdict.kind is Kind.NOT_DUE and verdict.happened_at is not None:
        return _DELETED
    if verdict.kind is Kind.TAKEN and verdict.handed_over:
        return _HANDED_OVER
    return _WHY_NOT_SEEN.get(verdict.reason, _SENTENCES[verdict.kind])


def _blanks(event: Event, verdict: Verdict, *, now: datetime) -> dict[str, str]:
    did = "started" if event is Event.STARTED else "ended"
    when = "" if verdict.happened_at is None else f" {ago(then=verdict.happened_at, now=now)}"
    until = "" if verdict.until is None else clock(then=verdict.until, now=now)
    if verdict.until is None:
        following = "no attempt has arrived since"
    elif now > verdict.until:
        following = f"the next attempt has been overdue since {until}"
    else:
        following = f"the next attempt is expected by {until}"
    return {
        "name": event.value,
        "did": did,
        "happened": f"The contract {did}{when}",
        "at": "" if verdict.at is None else f" {ago(then=verdict.at, now=now)}",
        "next": following,
        "still": f" until {until}" if until else "",
    }


def _of_links(link_ids: tuple[str, ...]) -> str:
    if len(link_ids) == 1:
        return f"This concerns project link {link_ids[0]}, not every link of the job."
    named, more = ", ".join(link_ids[:LINKS_NAMED]), len(link_ids) - LINKS_NAMED
    return f"This concerns project links {named}{f' and {more} more' if more > 0 else ''}, not every link of the job."


def _meaning(verdict: Verdict, consequence: Consequence) -> str:
    if verdict.kind is Kind.OUT_OF_ORDER:
        return "The handler may have given access back to a person whose contract has ended."
    means = _MEANS.get(consequence)
    if means is not None:
        return f"{means.capitalize()}." if verdict.kind.is_settled else f"Until the handler takes it, {means}."
    return "That is a choice of event types, not a failure." if verdict.reason is Reason.NOT_SUBSCRIBED else ""


def _advice(event: Event, verdict: Verdict, *, has_ended: bool) -> str:
    if event is Event.STARTED and has_ended and verdict.kind.is_finding:
        return _LEAVE_IT
    return _ADVICE_BY_REASON.get(verdict.reason, _ADVICE.get(verdict.kind, "")).format(name=event.value)
