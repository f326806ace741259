"""Texts of the member pages: what each role can do, and the effects of a change before its confirmation."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.models import AlertChannel, Install, Role, User
from dashboard.queries.second_factors import Factors

_ROLES = {
    Role.SUPPORT_LEAD: "Sees every install, can do everything, and manages members.",
    Role.SUPPORT: "Sees every install, and can do everything except manage members.",
    Role.PARTNER_ADMIN: "Sees granted installs; repairs and manages them, their tokens and their alerts.",
    Role.VIEWER: "Sees granted installs, and cannot change anything.",
    Role.NONE: "Can sign in, but sees nothing.",
}
NAMED = 10
"""Most alert channels that a confirmation names."""
SIGNED_OUT = "All their sessions are signed out immediately."


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Confirmation of a harmful action: its effects, one per sentence, and the form that performs it."""

    title: str
    words: tuple[str, ...]
    button: str
    action: str
    role: str = ""


def role_words(role: Role) -> str:
    return _ROLES[role]


def sees_words(member: User, *, granted: int) -> str:
    """Say how the role affects the `granted` installs; empty if the grants alone decide."""
    if member.sees_every_install:
        later = "; the grants below apply if the role changes" if granted else ""
        return f"{member.get_role_display()} sees every install{later}."
    if not member.role:
        return f"Without a role they see no installs{', not even those granted below' if granted else ''}."
    return ""


def of_role(member: User, role: Role) -> Confirmation:
    after = User(role=role)
    words = [f"From now on: {_ROLES[role][0].lower()}{_ROLES[role][1:]}"]
    if after.sees_granted_installs:
        count = member.grants.count()
        words.append(
            f"{_installs(count)} granted to them{'' if count else '; next, grant the installs that they look after'}."
        )
    if may(member, Permission.OPERATE) and not may(after, Permission.OPERATE):
        words.append("Their unfinished recoveries and redeliveries stop.")
    words += [SIGNED_OUT, *_channels(AlertChannel.objects.filter(made_by=member))]
    title = f"Make {member.username} {role.label.lower()}?" if role else f"Remove {member.username}'s role?"
    button = f"Make them {role.label.lower()}" if role else "Remove role"
    return Confirmation(title, tuple(words), button, reverse("member-role", args=[member.pk]), role=role.value)


def of_deactivation(member: User) -> Confirmation:
    words = (
        SIGNED_OUT,
        "They cannot sign in until a support lead reactivates the account. Its role and its installs are kept.",
        "Their unfinished recoveries and redeliveries stop.",
        *_channels(AlertChannel.objects.filter(made_by=member)),
        "Their activity stays on record under their name.",
    )
    action = reverse("member-deactivate", args=[member.pk])
    return Confirmation(f"Deactivate {member.username}?", words, "Deactivate", action)


def of_lost_factors(member: User, factors: Factors) -> Confirmation:
    words = [f"Their second factors are deleted permanently: {factors}.", SIGNED_OUT]
    if member.role in settings.MFA_REQUIRED_ROLES:
        words.append("At their next sign-in they must set up a second factor before anything else.")
    else:
        words.append("They can set up another at any time, under Your account.")
    if member.has_usable_password():
        words.append(
            "Until then, their password alone is enough to sign in: make sure that the request comes from them."
        )
    elif settings.OIDC_NAME:
        words.append(f"They have no password and sign in with {settings.OIDC_NAME}.")
    else:
        words.append("They have no password either: afterwards, create a link for them to set one.")
    if member.link_made_at is not None:
        words.append("Their unused link to set a password stops working.")
    words.append("You do not get a code. This action stays on record.")
    action = reverse("member-forget-factors", args=[member.pk])
    return Confirmation(f"Remove {member.username}'s second factors?", tuple(words), "Remove them", action)


def of_revocation(member: User, install: Install) -> Confirmation:
    words = [f"They no longer see {install.name}, starting with their next click."]
    if may(member, Permission.OPERATE):
        words.append("Their unfinished recoveries and redeliveries on it stop.")
    if may(member, Permission.MANAGE_INSTALLS):
        words.append("Anyone with its token can connect it again and then sees it. If they know the token, replace it.")
    words += _channels(AlertChannel.objects.filter(made_by=member, install=install))
    action = reverse("member-revoke", args=[member.pk, install.pk])
    return Confirmation(f"Remove {member.username}'s access to {install.name}?", tuple(words), "Remove access", action)


def _installs(count: int) -> str:
    return "No install is" if not count else "1 install is" if count == 1 else f"{count:,} installs are"


def _channels(channels: QuerySet[AlertChannel]) -> list[str]:
    """Return sentences about the channels that keep sending alerts, possibly to the member."""
    found = list(channels.select_related("install").defer("url", "secret", "install__token")[: NAMED + 1])
    if not found:
        return []
    named = "; ".join(
        f"“{one.name}” to {one.shown_as}, for {one.install.name if one.install else 'all installs'}"
        for one in found[:NAMED]
    )
    more = "; and others" if len(found) > NAMED else ""
    many = "The alert channel that they set up stays" if len(found) == 1 else "The alert channels that they set up stay"
    return [
        f"{many} active, so that no alert is missed: {named}{more}.",
        "Under Alerts, Channels, change or delete those that should no longer reach them.",
    ]
