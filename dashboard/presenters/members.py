"""What the pages of members say: what each role may do, and what a change means before it is made."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.models import AlertChannel, Install, Role, User
from dashboard.queries.second_factors import Factors

_ROLES = {
    Role.SUPPORT_LEAD: "Sees every install, may do everything, and manages members.",
    Role.SUPPORT: "Sees every install, and may do everything but manage members.",
    Role.PARTNER_ADMIN: "Sees the installs that are granted; repairs and manages them, their tokens and their alerts.",
    Role.VIEWER: "Sees the installs that are granted, and changes nothing.",
    Role.NONE: "Can sign in, and sees nothing.",
}
NAMED = 10
"""So many alert channels are named before a member is changed."""
SIGNED_OUT = "Whoever is signed in as them is signed out at once."


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question before harm: what happens, sentence by sentence, and the form that has it happen."""

    title: str
    words: tuple[str, ...]
    button: str
    action: str
    role: str = ""


def role_words(role: Role) -> str:
    return _ROLES[role]


def sees_words(member: User, *, granted: int) -> str:
    """Say what a role means for what is `granted`; empty where grants are all that counts."""
    if member.sees_every_install:
        later = "; what is granted below matters when the role changes" if granted else ""
        return f"{member.get_role_display()} sees every install{later}."
    if not member.role:
        return f"Without a role they see none{', not even what is granted below' if granted else ''}."
    return ""


def of_role(member: User, role: Role) -> Confirmation:
    after = User(role=role)
    words = [f"From now on: {_ROLES[role][0].lower()}{_ROLES[role][1:]}"]
    if after.sees_granted_installs:
        count = member.grants.count()
        words.append(f"{_installs(count)} granted to them{'' if count else '; grant those that they look after next'}.")
    if may(member, Permission.OPERATE) and not may(after, Permission.OPERATE):
        words.append("Recoveries and redeliveries that they have started, and that are not done, stop.")
    words += [SIGNED_OUT, *_channels(AlertChannel.objects.filter(made_by=member))]
    title = f"Make {member.username} {role.label.lower()}?" if role else f"Take the role from {member.username}?"
    button = f"Make them {role.label.lower()}" if role else "Take the role"
    return Confirmation(title, tuple(words), button, reverse("member-role", args=[member.pk]), role=role.value)


def of_deactivation(member: User) -> Confirmation:
    words = (
        SIGNED_OUT,
        "They cannot sign in until a support lead reactivates the account. Its role and its installs are kept.",
        "Recoveries and redeliveries that they have started, and that are not done, stop.",
        *_channels(AlertChannel.objects.filter(made_by=member)),
        "What they did stays on record, under their name.",
    )
    action = reverse("member-deactivate", args=[member.pk])
    return Confirmation(f"Deactivate {member.username}?", words, "Deactivate", action)


def of_lost_factors(member: User, factors: Factors) -> Confirmation:
    words = [f"What they have set up is gone for good: {factors}. None of it works any more.", SIGNED_OUT]
    if member.role in settings.MFA_REQUIRED_ROLES:
        words.append("At their next sign-in they have to set up a second factor anew before anything else.")
    else:
        words.append("They can set up another at any time, under Your account.")
    if member.has_usable_password():
        words.append("Until then whoever knows their password gets in: be sure that it is they who ask.")
    elif settings.OIDC_NAME:
        words.append(f"They have no password, and sign in by {settings.OIDC_NAME}.")
    else:
        words.append("They have no password either: make them a link to set one afterwards.")
    if member.link_made_at is not None:
        words.append("The link to set a password that is open stops working.")
    words.append("You get no code by this. That you did it stays on record.")
    action = reverse("member-forget-factors", args=[member.pk])
    return Confirmation(f"Take away {member.username}'s second factors?", tuple(words), "Take them away", action)


def of_revocation(member: User, install: Install) -> Confirmation:
    words = [f"They no longer see {install.name}, from their next click on."]
    if may(member, Permission.OPERATE):
        words.append("Recoveries and redeliveries that they have started on it, and that are not done, stop.")
    if may(member, Permission.MANAGE_INSTALLS):
        words.append(
            "Whoever has its token can connect it anew and sees it again: if they know the token, have it replaced."
        )
    words += _channels(AlertChannel.objects.filter(made_by=member, install=install))
    action = reverse("member-revoke", args=[member.pk, install.pk])
    return Confirmation(f"Take {install.name} from {member.username}?", tuple(words), "Take it from them", action)


def _installs(count: int) -> str:
    return "No install is" if not count else "1 install is" if count == 1 else f"{count:,} installs are"


def _channels(channels: QuerySet[AlertChannel]) -> list[str]:
    """Say what goes on without the person: messages that leave the house."""
    found = list(channels.select_related("install").defer("url", "secret", "install__token")[: NAMED + 1])
    if not found:
        return []
    named = "; ".join(
        f"“{one.name}” to {one.shown_as}, for {one.install.name if one.install else 'all installs'}"
        for one in found[:NAMED]
    )
    more = "; and others" if len(found) > NAMED else ""
    many = (
        "The alert channel that they have set up goes"
        if len(found) == 1
        else "The alert channels that they have set up go"
    )
    return [
        f"{many} on, so that nobody misses an alert: {named}{more}.",
        "Change or delete under Alerts, Channels, what should no longer reach them.",
    ]
