"""Members: who may sign in, as what, and which installs they may see. Each change with its entry in the audit.

Nobody changes their own role or account, and whoever changes another's is a support lead at that very moment: so
there is one left, whatever several of them do at once.
"""

import uuid
from datetime import datetime, timedelta

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import IntegrityError, transaction
from django.db.models import Q

from dashboard.actions import audit
from dashboard.models import Grant, Install, Role, User
from dashboard.queries.second_factors import factors_of
from dashboard.vault import Secret


class NotPossible(Exception):
    """Nothing was changed; the words say why."""


class _LinkTokens(PasswordResetTokenGenerator):
    """Django's, for the newest link alone: what is signed changes with each link and with its use."""

    key_salt = "dashboard.actions.members.set-password"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        made_at = "" if user.link_made_at is None else f"{user.link_made_at.timestamp():.6f}"
        return f"{super()._make_hash_value(user, timestamp)}/{made_at}/{user.is_active}"


_tokens = _LinkTokens()


def link_lasts() -> timedelta:
    return timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)


def invite(
    *, actor: User, username: str, role: Role, now: datetime, email: str = "", operation: uuid.UUID | None = None
) -> tuple[User, Secret]:
    """Make an account without a password, and return it with the code by which its owner sets one.

    `email` is what an identity of OpenID Connect finds the account by.

    Raises: NotPossible; audit.NotedBefore, when this very form was sent before. Nothing is changed then.
    """
    member = User(username=username, email=email, role=role, link_made_at=now)
    member.set_unusable_password()
    try:
        with transaction.atomic():
            _check_actor(actor, _locked())
            member.save(force_insert=True)
            words = f"{username} was invited, as {role.label.lower()}."
            audit.note(actor=actor, action="invite member", words=words, operation=operation)
    except IntegrityError:
        raise NotPossible(f"There is an account named {username} already.") from None
    return member, _code(member)


def new_link(*, actor: User, member: User, now: datetime, operation: uuid.UUID | None = None) -> Secret:
    """Return a code by which the member sets a password. One that was made before no longer works.

    Raises: NotPossible; audit.NotedBefore. Nothing is changed then.
    """
    with transaction.atomic():
        found = _changeable(actor, member)
        if not found.is_active:
            raise NotPossible(f"{found.username} is deactivated: reactivate the account first.")
        found.link_made_at = now
        found.save(update_fields=["link_made_at"])
        words = f"{found.username} was given a new link to set a password."
        audit.note(actor=actor, action="make set-password link", words=words, operation=operation)
    return _code(found)


def owner_of(*, code: str) -> User | None:
    """Return whose code it is, if it still works."""
    pk, _, token = code.partition(".")
    if not pk.isascii() or not pk.isdecimal() or len(pk) > 18:  # noqa: PLR2004 - no ID is longer
        return None
    return _owner(User.objects.filter(pk=int(pk)).first(), token)


def set_password(*, code: str, password: str) -> User | None:
    """Set the password of the code's owner, and end their sessions. Returns None when the code no longer works."""
    with transaction.atomic():
        named = owner_of(code=code)
        locked = User.objects.select_for_update().filter(pk=named.pk).first() if named is not None else None
        member = _owner(locked, code.partition(".")[2])
        if member is None:
            return None
        member.set_password(password)
        member.link_made_at = None
        _end_sessions(member, "password", "link_made_at")
        words = f"{member.username} set a password by the link."
        audit.note(actor=member, action="set password", words=words)
    return member


def change_role(*, actor: User, member: User, role: Role, operation: uuid.UUID | None = None) -> None:
    """Give the member another role, and end their sessions.

    Raises: NotPossible; audit.NotedBefore. Nothing is changed then.
    """
    with transaction.atomic():
        found = _changeable(actor, member)
        if found.role == role:
            return
        before, found.role = Role(found.role), role
        _end_sessions(found, "role")
        words = f"{found.username} was {before.label.lower()} and is now {role.label.lower()}."
        audit.note(actor=actor, action="change role", words=words, operation=operation)


def set_active(*, actor: User, member: User, active: bool, operation: uuid.UUID | None = None) -> None:
    """Let the member sign in or not; deactivating ends their sessions at once, and takes an open link back.

    Raises: NotPossible; audit.NotedBefore. Nothing is changed then.
    """
    with transaction.atomic():
        found = _changeable(actor, member)
        if found.is_active == active:
            return
        found.is_active, found.link_made_at = active, None
        _end_sessions(found, "is_active", "link_made_at")
        words = f"{found.username} {'can sign in again' if active else 'can no longer sign in'}."
        action = "reactivate member" if active else "deactivate member"
        audit.note(actor=actor, action=action, words=words, operation=operation)


def forget_factors(*, actor: User | None, member: User, operation: uuid.UUID | None = None) -> None:
    """Take away every second factor of somebody who has lost theirs, end their sessions, and take an open link back.

    Nobody gets a code or a link by this: from then on the member's own password lets them in, and where their role
    needs a second factor, they set up another before anything else. An actor of None is who works at the machine.

    Raises: NotPossible; audit.NotedBefore. Nothing is changed then.
    """
    with transaction.atomic():
        found = _changeable(actor, member) if actor is not None else _locked(member)[member.pk]
        held = factors_of(user=found)
        words = f"The second factors of {found.username} were taken away, and their sessions ended. They were: {held}."
        audit.note(actor=actor, action="forget second factors", words=words, operation=operation)
        if not held.any:
            raise NotPossible(f"{found.username} has no second factor, so nothing was changed.")
        Authenticator.objects.filter(user=found).delete()
        found.link_made_at = None
        _end_sessions(found, "link_made_at")
        for session in UserSession.objects.filter(user=found):  # nor are they listed, when they sign in again
            session.end()


def grant(*, actor: User, member: User, install: Install, operation: uuid.UUID | None = None) -> None:
    """Let the member see the install. Raises: NotPossible; audit.NotedBefore. Nothing is changed then."""
    with transaction.atomic():
        _check_actor(actor, _locked())
        _, is_new = Grant.objects.get_or_create(user=member, install=install)
        if is_new:
            words = f"{member.username} may see {install.name}."
            audit.note(actor=actor, action="grant install", words=words, install=install, operation=operation)


def revoke(*, actor: User, member: User, install: Install, operation: uuid.UUID | None = None) -> None:
    """Take the install from the member. Raises: NotPossible; audit.NotedBefore. Nothing is changed then."""
    with transaction.atomic():
        _check_actor(actor, _locked())
        deleted, _ = Grant.objects.filter(user=member, install=install).delete()
        if deleted:
            words = f"{member.username} may no longer see {install.name}."
            audit.note(actor=actor, action="revoke install", words=words, install=install, operation=operation)


def is_last_lead(*, member: User) -> bool:
    """Tell whether nobody else could manage members."""
    leads = User.objects.filter(role=Role.SUPPORT_LEAD, is_active=True)
    return leads.filter(pk=member.pk).exists() and not leads.exclude(pk=member.pk).exists()


def _locked(member: User | None = None) -> dict[int, User]:
    """Return the support leads and the member, each held until the end of the transaction."""
    rows = User.objects.select_for_update().filter(Q(role=Role.SUPPORT_LEAD) | Q(pk=member.pk if member else None))
    return {row.pk: row for row in rows.order_by("pk")}


def _check_actor(actor: User, locked: dict[int, User]) -> None:
    now = locked.get(actor.pk)
    if now is None or now.role != Role.SUPPORT_LEAD or not now.is_active:
        raise NotPossible("You are not a support lead any more, so nothing was changed.")


def _changeable(actor: User, member: User) -> User:
    """Return the member as it is now, held. Raises: NotPossible."""
    locked = _locked(member)
    _check_actor(actor, locked)
    if member.pk == actor.pk:
        raise NotPossible("Another support lead has to do this with your own account, so that one is always left.")
    return locked[member.pk]


def _end_sessions(member: User, *columns: str) -> None:
    """Store these columns, and have no session go on that began before."""
    member.session_generation += 1
    member.save(update_fields=[*columns, "session_generation"])


def _code(member: User) -> Secret:
    return Secret(f"{member.pk}.{_tokens.make_token(member)}")


def _owner(member: User | None, token: str) -> User | None:
    if member is None or not member.is_active or member.link_made_at is None:
        return None
    return member if _tokens.check_token(member, token) else None
