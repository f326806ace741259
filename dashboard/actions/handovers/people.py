"""Who was hired with a contract: from its logged events, or else read of OpenTrain. Personal data: nothing stores it.

An event names one person. Where that is not exactly one, there is no event to hand over, and the words say why.
"""

from dataclasses import dataclass, field

from dashboard.actions import audit
from dashboard.config.masking import masking
from dashboard.models import Contract, User
from dashboard.queries.handovers import logged_people
from dashboard.rules.outside_texts import is_whole
from dashboard.rules.reads import Read, is_allowed, not_known
from dashboard.rules.reconstruction import Person, same_person
from dashboard.services import opentrain
from dashboard.services.bulkhead import Full, Waits
from dashboard.vault import Unreadable

READ = "read who was hired"
"""Name of this action in the audit."""
AT_ONCE, AT_ONCE_OF_INSTALL = 4, 1
"""Reads that pages wait for at once in a process, in total and of one install: each occupies a thread."""
BUSY = "Too many reads are under way. Try again in a few seconds."

_waits = Waits()


@dataclass(frozen=True, slots=True)
class Hired:
    """The one person who was hired, or why there is none to name. `may_be_read`: OpenTrain has not been asked."""

    person: Person | None = field(default=None, repr=False)
    words: str = ""
    may_be_read: bool = False


def from_log(*, contract: Contract) -> Hired:
    """Return who was hired by the log, without a call to OpenTrain."""
    logged = logged_people(contract=contract)
    if logged:
        return _one(logged, of="The logged events of this contract name")
    words = "The log does not tell who was hired."
    if contract.install.is_disconnected:
        return Hired(words=f"{words} This install is disconnected from Redeliver, so OpenTrain is not asked.")
    lacking = not_known([Read.PARTICIPANTS], scopes=contract.install.token_scopes)
    if lacking:
        return Hired(words=f"{words} {lacking}")
    return Hired(words=words, may_be_read=True)


def read(*, actor: User, contract: Contract) -> Hired:
    """Return who was hired by OpenTrain, for a page that asks for it; by the log, if that tells. Audited.

    It may take as long as a call to OpenTrain.
    """
    known = from_log(contract=contract)
    if not known.may_be_read:
        return known
    try:
        with _waits.one(name=str(contract.install_id), most=AT_ONCE, most_of_name=AT_ONCE_OF_INSTALL):
            found = of_opentrain(contract=contract)
    except Full:
        return Hired(words=BUSY, may_be_read=True)
    words = f"Read of OpenTrain for contract {contract.opentrain_id}."
    audit.note(actor=actor, action=READ, words=words, install=contract.install)
    return found


def of_opentrain(*, contract: Contract) -> Hired:
    """Return who was hired, as OpenTrain says now."""
    if not is_allowed(Read.PARTICIPANTS, scopes=contract.install.token_scopes):
        return Hired(words=not_known([Read.PARTICIPANTS], scopes=contract.install.token_scopes))
    try:
        found = opentrain.list_participants(token=contract.install.token, contract_id=contract.opentrain_id)
    except opentrain.OpenTrainError as error:
        words = f"OpenTrain does not tell who was hired: {masking().text(str(error))}"
        return Hired(words=words, may_be_read=True)
    except Unreadable:
        words = "This install's token cannot be read with the keys in FIELD_KEYS, so OpenTrain was not asked."
        return Hired(words=words)
    return _one([_person(one) for one in found], of="OpenTrain names")


def _one(people: "list[Person] | tuple[Person, ...]", *, of: str) -> Hired:
    """Return the one person that these are."""
    person = same_person(people)
    if person is not None and is_whole(person.opentrain_user_id):
        return Hired(person)
    number = len({one.opentrain_user_id for one in people})
    named = "nobody" if not number else "a person without a whole ID" if number == 1 else f"{number} people"
    return Hired(words=f"{of} {named}, and the event names exactly one person. So it cannot be built.")


def _person(one: opentrain.Participant) -> Person:
    return Person(
        opentrain_user_id=one.opentrain_user_id,
        display_name=one.display_name,
        country=one.country,
        profile_url=one.profile_url,
        work_email=one.work_email,
    )
