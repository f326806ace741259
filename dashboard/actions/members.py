"""Members: their accounts, roles and install grants. Each change is written with its audit entry.

Members cannot change their own role or account, and the person who changes another member's must be a support lead at
that moment. So at least one support lead remains, even with concurrent changes.
"""

import re
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
    """The change is not allowed, and nothing changed. The message says why."""


class _LinkTokens(PasswordResetTokenGenerator):
    """Django's reset tokens, valid for the newest link only: the signed value changes with each link and its use."""

    key_salt = "dashboard.actions.members.set-password"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        made_at = "" if user.link_made_at is None else f"{user.link_made_at.timestamp():.6f}"
        return f"{super()._make_hash_value(user, timestamp)}/{made_at}/{user.is_active}"


_tokens = _LinkTokens()
_CODE = re.compile(r"[0-9]{1,18}\.[0-9a-z]+-[0-9a-f]{32}")
"""Django's token after the number of the account."""


def is_code(text: str) -> bool:
    """Return whether the text has the form of a link's code. It says nothing about whether the link still works."""
    return _CODE.fullmatch(text) is not None


def link_lasts() -> timedelta:
    return timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)


def invite(
    *, actor: User, username: str, role: Role, now: datetime, email: str = "", operation: uuid.UUID | None = None
) -> tuple[User, Secret]:
    """Create an account without a password, and return it with the code that lets its owner set one.

    An OpenID Connect identity is connected to the account by `email`.

    Raises: NotPossible; audit.NotedBefore if the same form was already submitted. Nothing changes then.
    """
    member = User(username=username, email=email, role=role, link_made_at=now)
    member.set_unusable_password()
    try:
        with transaction.atomic():
            _check_actor(actor, _locked())
            member.save(force_insert=True)
            words = f"{username} was invited as {role.label.lower()}."
            audit.note(actor=actor, action="invite member", words=words, operation=operation)
    except IntegrityError:
        raise NotPossible(f"An account named {username} already exists.") from None
    return member, _code(member)


def new_link(*, actor: User, member: User, now: datetime, operation: uuid.UUID | None = None) -> Secret:
    """Return a code that lets the member set a password. Earlier codes stop working.

    Raises: NotPossible; audit.NotedBefore. Nothing changes then.
    """
    with transaction.atomic():
        found = _changeable(actor, member)
        if not found.is_active:
            raise NotPossible(f"{found.username} is deactivated. Reactivate the account first.")
        found.link_made_at = now
        found.save(update_fields=["link_made_at"])
        words = f"A new link to set a password was created for {found.username}."
        audit.note(actor=actor, action="make set-password link", words=words, operation=operation)
    return _code(found)


def owner_of(*, code: str) -> User | None:
    """Return the owner of the code; None if the code is not valid."""
    pk, _, token = code.partition(".")
    if not pk.isascii() or not pk.isdecimal() or len(pk) > 18:  # noqa: PLR2004 - no ID is longer
        return None
    return _owner(User.objects.filter(pk=int(pk)).first(), token)


def set_password(*, code: str, password: str) -> User | None:
    """Set the password of the code's owner and end their sessions. Return None if the code is not valid."""
    with transaction.atomic():
        named = owner_of(code=code)
        locked = User.objects.select_for_update().filter(pk=named.pk).first() if named is not None else None
        member = _owner(locked, code.partition(".")[2])
        if member is None:
            return None
        member.set_password(password)
        member.link_made_at = None
        _end_sessions(member, "password", "link_made_at")
        words = f"{member.username} set a password with the link."
        audit.note(actor=member, action="set password", words=words)
    return member


def change_role(*, actor: User, member: User, role: Role, operation: uuid.UUID | None = None) -> None:
    """Change the member's role and end their sessions.

    Raises: NotPossible; audit.NotedBefore. Nothing changes then.
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
    """Activate or deactivate the member. Both end their sessions at once and revoke an open link.

    Raises: NotPossible; audit.NotedBefore. Nothing changes then.
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
    """Remove all second factors of a member who has lost them, end their sessions, and revoke an open link.

    This creates no code and no link: the member signs in with their password, and if their role requires a second
    factor, they must set up a new one first. An `actor` of None means the command line.

    Raises: NotPossible; audit.NotedBefore. Nothing changes then.
    """
    with transaction.atomic():
        found = _changeable(actor, member) if actor is not None else _locked(member)[member.pk]
        held = factors_of(user=found)
        words = f"The second factors of {found.username} were removed, and their sessions ended. Removed: {held}."
        audit.note(actor=actor, action="forget second factors", words=words, operation=operation)
        if not held.any:
            raise NotPossible(f"{found.username} has no second factor. Nothing changed.")
        Authenticator.objects.filter(user=found).delete()
        found.link_made_at = None
        _end_sessions(found, "link_made_at")
        for session in UserSession.objects.filter(user=found):  # so they are not listed after the next sign-in
            session.end()


def grant(*, actor: User, member: User, install: Install, operation: uuid.UUID | None = None) -> None:
    """Grant the member access to the install. Raises: NotPossible; audit.NotedBefore. Nothing changes then."""
    with transaction.atomic():
        _check_actor(actor, _locked())
        _, is_new = Grant.objects.get_or_create(user=member, install=install)
        if is_new:
            words = f"{member.username} can see {install.name}."
            audit.note(actor=actor, action="grant install", words=words, install=install, operation=operation)


def revoke(*, actor: User, member: User, install: Install, operation: uuid.UUID | None = None) -> None:
    """Revoke the member's access to the install. Raises: NotPossible; audit.NotedBefore. Nothing changes then."""
    with transaction.atomic():
        _check_actor(actor, _locked())
        deleted, _ = Grant.objects.filter(user=member, install=install).delete()
        if deleted:
            words = f"{member.username} can no longer see {install.name}."
            audit.note(actor=actor, action="revoke install", words=words, install=install, operation=operation)


def is_last_lead(*, member: User) -> bool:
    """Return whether the member is the only active support lead."""
    leads = User.objects.filter(role=Role.SUPPORT_LEAD, is_active=True)
    return leads.filter(pk=member.pk).exists() and not leads.exclude(pk=member.pk).exists()


def _locked(member: User | None = None) -> dict[int, User]:
    """Return the support leads and the member by ID, locked until the transaction ends."""
    rows = User.objects.select_for_update().filter(Q(role=Role.SUPPORT_LEAD) | Q(pk=member.pk if member else None))
    return {row.pk: row for row in rows.order_by("pk")}


def _check_actor(actor: User, locked: dict[int, User]) -> None:
    now = locked.get(actor.pk)
    if now is None or now.role != Role.SUPPORT_LEAD or not now.is_active:
        raise NotPossible("You are no longer a support lead. Nothing changed.")


def _changeable(actor: User, member: User) -> User:
    """Return the member's current row, locked. Raises: NotPossible."""
    locked = _locked(member)
    _check_actor(actor, locked)
    if member.pk == actor.pk:
        raise NotPossible("You can't change your own account. Ask another support lead, so that one always remains.")
    return locked[member.pk]


def _end_sessions(member: User, *columns: str) -> None:
    """Save these columns, and end all sessions of the member."""
    member.session_generation += 1
    member.save(update_fields=[*columns, "session_generation"])


def _code(member: User) -> Secret:
    return Secret(f"{member.pk}.{_tokens.make_token(member)}")


def _owner(member: User | None, token: str) -> User | None:
    if member is None or not member.is_active or member.link_made_at is None:
        return None
    return member if _tokens.check_token(member, token) else None
