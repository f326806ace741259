"""What people did, as sentences: "ana re-enabled", "ana tried to re-enable". Of each action in the audit."""

from dataclasses import dataclass
from enum import Enum, auto


class About(Enum):
    """What a sentence names after its verb."""

    ENDPOINT = auto()
    INSTALL = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Deed:
    """An action in two forms, and what follows them: "re-enabled", "re-enable", an endpoint."""

    done: str
    tried: str
    about: About = About.ENDPOINT


_ENDPOINT = {
    "re-enable endpoint": ("re-enabled", "re-enable"),
    "pause endpoint": ("paused", "pause"),
    "edit endpoint": ("changed", "change"),
    "delete endpoint": ("deleted", "delete"),
    "rename endpoint": ("renamed", "rename"),
    "register endpoint": ("registered", "register"),
    "redeliver": ("asked OpenTrain to redeliver a delivery to", "redeliver a delivery to"),
    "redeliver all failed": (
        "asked OpenTrain to redeliver all failed deliveries to",
        "redeliver all failed deliveries to",
    ),
    "redeliver in a run": (
        "asked OpenTrain, in a run, to redeliver a delivery to",
        "redeliver, in a run, a delivery to",
    ),
    "redeliver all failed in a run": (
        "asked OpenTrain, in a run, to redeliver all failed deliveries to",
        "redeliver, in a run, all failed deliveries to",
    ),
    "start run": ("started a run on", "start a run on"),
    "pause run": ("paused a run on", "pause a run on"),
    "resume run": ("resumed a run on", "resume a run on"),
    "stop run": ("stopped a run on", "stop a run on"),
    "check missing window": ("checked the events that may be missing at", "check the events that may be missing at"),
    "show missing window again": (
        "took back the check of the events that may be missing at",
        "take back the check of the events that may be missing at",
    ),
    "export deliveries": ("exported deliveries of", "export deliveries of"),
    "export run": ("exported a run of", "export a run of"),
    "hand over event": ("handed an event over to", "hand an event over to"),
    "allow handing over": ("allowed handing over events to", "allow handing over events to"),
    "stop handing over": ("stopped handing over events to", "stop handing over events to"),
    "keep URL changed elsewhere": ("kept the URL that was changed elsewhere of", "keep the changed URL of"),
    "URL changed elsewhere": ("changed the URL of", "change the URL of"),
    "deliver through the receiver again": ("restored the receiver's URL of", "restore the receiver's URL of"),
    "route through Redeliver": ("put Redeliver in the path of", "put Redeliver in the path of"),
    "take Redeliver out of the path": ("took Redeliver out of the path of", "take Redeliver out of the path of"),
    "enter signing secret": ("entered the signing secret of", "enter the signing secret of"),
    "issue observation key": ("issued an observation key for", "issue an observation key for"),
    "revoke observation key": ("revoked the observation key of", "revoke the observation key of"),
    "switch demo handler": ("switched the demo's handler of", "switch the demo's handler of"),
}
_INSTALL = {
    "connect install": ("connected", "connect"),
    "rename install": ("renamed", "rename"),
    "disconnect install": ("disconnected", "disconnect"),
    "grant install": ("gave access to", "give access to"),
    "revoke install": ("took away access to", "take away access to"),
    "read who was hired": ("read who was hired in", "read who was hired in"),
    "export contracts": ("exported contracts of", "export contracts of"),
    "create alert channel": ("created an alert channel of", "create an alert channel of"),
    "change alert channel": ("changed an alert channel of", "change an alert channel of"),
    "delete alert channel": ("deleted an alert channel of", "delete an alert channel of"),
    "test alert channel": ("tested an alert channel of", "test an alert channel of"),
}
_NOTHING = {
    "sign in": ("signed in", "sign in"),
    "sign out": ("signed out", "sign out"),
    "end session": ("ended a session", "end a session"),
    "change password": ("changed the password", "change the password"),
    "set password": ("set a password", "set a password"),
    "change second factor": ("changed a second factor", "change a second factor"),
    "change identity": ("changed an OpenID Connect identity", "change an OpenID Connect identity"),
    "choose time zone": ("chose a time zone", "choose a time zone"),
    "invite member": ("invited a member", "invite a member"),
    "make set-password link": ("created a set-password link", "create a set-password link"),
    "change role": ("changed a role", "change a role"),
    "forget second factors": ("removed a member's second factors", "remove a member's second factors"),
    "make account": ("created an account", "create an account"),
    "change account": ("changed an account", "change an account"),
    "export activity": ("exported the activity", "export the activity"),
    "forget receiver": ("forgot a receiver", "forget a receiver"),
    "re-encrypt secrets": ("re-encrypted secrets", "re-encrypt secrets"),
}
DEEDS = {
    **{action: Deed(*forms, about=About.ENDPOINT) for action, forms in _ENDPOINT.items()},
    **{action: Deed(*forms, about=About.INSTALL) for action, forms in _INSTALL.items()},
    **{action: Deed(*forms, about=About.NOTHING) for action, forms in _NOTHING.items()},
}


@dataclass(frozen=True, slots=True)
class Told:
    """The words after the person's name, and what they are about. `about` None: whatever the entry names."""

    words: str
    about: About | None


def told(*, action: str, is_done: bool) -> Told:
    """Return the sentence of an action. What OpenTrain did not confirm was only tried.

    Actions without a sentence here, such as "rotate secret: give up", are quoted.
    """
    deed = DEEDS.get(action)
    if deed is not None:
        return Told(deed.done if is_done else f"tried to {deed.tried}", deed.about)
    return Told(f"{'did' if is_done else 'tried'} “{action}”:", None)
