"""Who is notified of alerts, as far as the reader may know: nobody learns of channels that they cannot see."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.models import AlertChannel, User
from dashboard.rules.alerts import KINDS, OF_ALL_INSTALLS

NEEDS_MAIL_SERVER = "until a mail server is set (EMAIL_URL)"


@dataclass(frozen=True, slots=True)
class Audience:
    """What the pages of alerts say about who is notified; all empty if there is nothing to say.

    `needs_channel`: the reader has no channel, so the page says how one is added.
    """

    tone: str = ""
    icon: str = ""
    words: str = ""
    needs_channel: bool = False


def sends(channel: AlertChannel, *, can_mail: bool) -> bool:
    """Return whether anyone can be notified by the channel: email needs a mail server."""
    return can_mail or channel.way != AlertChannel.Way.EMAIL


def audience(*, user: User, channels: Sequence[AlertChannel], can_mail: bool) -> Audience:
    """Return what is true for this user. `channels` are those that they can see."""
    if any(sends(one, can_mail=can_mail) for one in channels):
        return Audience()
    support = "" if user.sees_every_install else _support(can_mail=can_mail)
    if channels:
        whose = "by your channels" if support else "of alerts"
        words = f"Nobody is notified {whose} {NEEDS_MAIL_SERVER}: all channels are email."
        return Audience("warn", "alert-triangle", f"{words} {support}".strip())
    if support:
        return Audience("info", "info-circle", f"{support} Nobody on your side is.", needs_channel=True)
    whose = "" if user.sees_every_install else " for your installs"
    return Audience("warn", "alert-triangle", f"Nobody is notified of alerts{whose} yet.", needs_channel=True)


def _support(*, can_mail: bool) -> str:
    """Say which alerts of a partner's installs support is notified of; empty if of none."""
    channels = AlertChannel.objects.filter(install=None).only("way", "kinds")
    told = {kind for one in channels if sends(one, can_mail=can_mail) for kind in one.kinds}
    told -= set(OF_ALL_INSTALLS)
    if not told:
        return ""
    how_many = "" if told >= set(KINDS) - set(OF_ALL_INSTALLS) else "some "
    return f"Support is notified of {how_many}alerts for your installs."
