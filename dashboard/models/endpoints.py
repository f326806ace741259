"""Webhook endpoints: OpenTrain's last snapshot of each, and the data that the receiver needs."""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Case, F, Func, Q, Value, When

from dashboard.config.masking import masking
from dashboard.db.fields import MaskedCharField, SecretField
from dashboard.db.word_search import words_in
from dashboard.models.installs import Install
from dashboard.rules import endpoint_titles
from dashboard.rules.endpoints import AT_RISK_FROM, AUTO_DISABLE_AT, Severity
from dashboard.rules.masking import HIDDEN_IN_URLS
from dashboard.rules.outside_texts import is_whole
from dashboard.rules.receiver_urls import HOOKS, key_at_end, key_in, leads_to, log_began
from dashboard.rules.snapshots import EndpointState, url_digest

if TYPE_CHECKING:
    from dashboard.models.members import User

ACTIVE = "ACTIVE"
DISABLED = "DISABLED"


def severity_column() -> models.GeneratedField:
    """Return the generated column of the severity: `rules.endpoints.severity` in SQL. A test compares both."""
    kinds = (
        (Q(status=DISABLED, consecutive_failures__gte=AUTO_DISABLE_AT), Severity.DISABLED),
        (Q(status=DISABLED), Severity.PAUSED),
        (~Q(status=ACTIVE), Severity.UNKNOWN),
        (Q(consecutive_failures__lte=0), Severity.ACTIVE),
        (Q(consecutive_failures__lt=AT_RISK_FROM), Severity.FAILING),
    )
    return models.GeneratedField(
        expression=Case(
            *(When(fits, then=Value(kind.value)) for fits, kind in kinds), default=Value(Severity.AT_RISK.value)
        ),
        output_field=models.PositiveSmallIntegerField(),
        db_persist=True,
    )


def new_receiver_key() -> str:
    """Return a random key of 256 bits. It alone identifies a receiver URL, so it must not be guessable."""
    return secrets.token_urlsafe(32)


def receiver_url(*, receiver_key: str) -> str:
    """Return the receiver URL. It does not use `reverse`: the receiver's paths are none of Django's URLs."""
    return f"{settings.RECEIVER_URL}{HOOKS}{receiver_key}/"


def leads_to_a_receiver(*, url: str) -> bool:
    """Return whether a URL is an address of a receiver of ours, also behind another host, such as a proxy's."""
    if any(key_in(url=url, receiver_url=ours) for ours in (settings.RECEIVER_URL, settings.PUBLIC_URL)):
        return True
    key = key_at_end(url=url)
    return bool(key) and Endpoint.objects.filter(receiver_key=key).exists()


def without_secrets(column: str) -> Func:
    """Return a column of URLs without what pages hide of them, to search in it.

    Whoever sees an endpoint may search for it. A search in a key or a password would tell it to them, piece by piece.
    """
    bare = (F(column), Value(HIDDEN_IN_URLS), Value(r"\1\2\3"), Value("g"))
    return Func(*bare, function="regexp_replace", output_field=models.TextField())


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def visible_to(self, user: "User") -> Self:
        if user.sees_every_install:
            return self  # every endpoint has an install, so no join is needed
        return self.filter(install__in=Install.objects.visible_to(user))

    def connected(self) -> Self:
        """Leave out those of installs that people disconnected: nothing is known of them any more."""
        return self.filter(install__disconnected_at__isnull=True)

    def unhealthy(self) -> Self:
        """Keep those whose status or consecutive failures need attention. Paused ones do not: a person paused them."""
        return self.registered().filter(severity__lt=Severity.PAUSED)

    def registered(self) -> Self:
        """Keep those that exist at OpenTrain: neither still being registered nor deleted."""
        return self.filter(opentrain_id__isnull=False, deleted_at__isnull=True)


class Endpoint(models.Model):
    """One webhook endpoint of an install.

    The row is created before the call that registers it at OpenTrain, because its receiver key is part of the
    registered URL. Until OpenTrain responds, `opentrain_id` is null.
    """

    class Proof(models.TextChoices):
        """Whether a delivery has shown that the secret is the right one. Stored, so never rename a value.

        WAITING: its secret was entered, and until a delivery verifies, others are passed on too. NONE: nobody gave its
        secret, so nothing can be verified. PROVEN: what does not verify is refused.
        """

        PROVEN = "proven"
        WAITING = "waiting"
        NONE = "none"

    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="endpoints")
    opentrain_id = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - null is "not known yet"
    url = models.CharField(max_length=2048)
    event_types = ArrayField(models.CharField(max_length=100), default=list)
    status = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.TextField(blank=True)
    auto_disabled_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="disabledAt of the last auto-disable, kept after re-enabling. OpenTrain's clock.",
    )
    disable_learned_at = models.DateTimeField(
        null=True, blank=True, help_text="When Redeliver learned of that auto-disable. Its own clock."
    )
    snapshot_at = models.DateTimeField(null=True, blank=True, help_text="When OpenTrain last said the above.")
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="When OpenTrain stopped listing it.")
    unread_why = models.TextField(
        blank=True,
        default="",
        db_default="",
        help_text="Why its entry in OpenTrain's last list could not be read; empty if it could.",
    )
    severity = severity_column()
    history_at = models.DateTimeField(null=True, blank=True, help_text="When its history got its newest row.")
    stopped_seen_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was last seen disabled or paused, or active again after that."
    )

    receiver_key = models.CharField(max_length=64, unique=True, null=True, blank=True)
    handler_url = models.CharField(max_length=2048, blank=True, help_text="The partner's own handler.")
    secret = SecretField(null=True, blank=True)
    observation_key_sha256 = models.CharField(max_length=64, unique=True, null=True, blank=True)
    observation_key_at = models.DateTimeField(null=True, blank=True, help_text="When the key was issued.")
    registering_since = models.DateTimeField(null=True, blank=True)
    proof = models.CharField(
        max_length=10,
        choices=Proof,
        default=Proof.PROVEN,
        db_default=Proof.PROVEN,
        help_text="Whether the receiver refuses what does not verify.",
    )
    routing_since = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When OpenTrain was asked to deliver through Redeliver, without a clear answer yet.",
    )
    routed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was put behind the receiver, if it existed before."
    )
    bypassed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was taken out of the receiver's path, if it is not in it."
    )
    url_changed_at = models.DateTimeField(
        null=True, blank=True, help_text="When Redeliver learned that its URL was changed elsewhere."
    )
    url_before = MaskedCharField(
        max_length=2048, blank=True, default="", db_default="", help_text="Its URL before that, without secrets."
    )

    hands_over = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether a partner admin allows that Redeliver sends missing events to its handler.",
    )

    name = models.CharField(
        max_length=80, blank=True, default="", db_default="", help_text="What people call it; empty until one says."
    )
    told_apart_by = models.CharField(  # noqa: DJ001 - null is "not worked out yet"
        max_length=30,
        null=True,
        blank=True,
        help_text="What follows its title where another of the install has the same; null until that is worked out.",
    )

    objects = EndpointQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["install", "opentrain_id"], name="endpoint_once_per_install"),
        ]
        indexes = [
            # The inbox: it holds few of all endpoints.
            models.Index(
                fields=["severity", "id"],
                condition=Q(opentrain_id__isnull=False, deleted_at__isnull=True, severity__lt=Severity.PAUSED),
                name="endpoint_in_need",
            ),
            # Alerts: few URLs are changed outside Redeliver.
            models.Index(
                fields=["id"], condition=Q(url_changed_at__isnull=False), name="endpoint_url_changed_elsewhere"
            ),
            # Times in which events may be missing: few endpoints are ever disabled or paused.
            models.Index(
                fields=["stopped_seen_at"],
                condition=Q(stopped_seen_at__isnull=False),
                name="endpoint_stopped_lately",
            ),
            # The quick search (queries/search.py).
            models.Index(fields=["opentrain_id"], name="endpoint_by_opentrain_id"),
            GinIndex(words_in("url", "handler_url"), name="endpoint_words"),
            GinIndex(words_in("name"), condition=~Q(name=""), name="endpoint_name_words"),
        ]

    def __str__(self) -> str:
        return self.shown_url

    @property
    def shown_url(self) -> str:
        """The endpoint's URL as it may be shown to everyone who sees the endpoint: without secrets."""
        return masking().url(self.url)

    @property
    def receiver_address(self) -> str:
        """The receiver's URL with its key, only for people who manage the endpoint; empty if it is not received.

        Anyone who has the key can send requests to the receiver.
        """
        return self.url if self.is_received else ""

    @property
    def shown_handler_url(self) -> str:
        """The handler's URL as it may be shown: without secrets. Empty if no handler is set."""
        return masking().url(self.handler_url)

    @property
    def handles(self) -> str:
        """The URL of the partner's server, with its secrets: the handler's, or else the endpoint's."""
        return self.url if not self.handler_url or self.is_moved else self.handler_url

    @property
    def state(self) -> EndpointState | None:
        """What OpenTrain last said of it; None if it does not exist there, as far as is known."""
        if self.opentrain_id is None or self.deleted_at is not None:
            return None
        return EndpointState(
            url_digest=url_digest(self.url),
            event_types=frozenset(self.event_types),
            status=self.status,
            consecutive_failures=self.consecutive_failures,
            disabled_at=self.disabled_at,
        )

    @property
    def known_as(self) -> str:
        """The URL that people recognize, without secrets: the handler's, if deliveries go there, or the endpoint's.

        Without any URL, its ID: pages link this text.
        """
        return masking().url(self.handles) or self.opentrain_id or ""

    @property
    def base_title(self) -> str:
        """What people call it, without what tells it apart: its name, or the host and path of `known_as`."""
        return endpoint_titles.base_title(name=self.name, place=self.place)

    @property
    def title(self) -> str:
        """What pages, alerts and the audit call it. No other endpoint of its install has the same title."""
        return endpoint_titles.with_mark(self.base_title, self.told_apart_by)

    @property
    def short_title(self) -> str:
        """The title, cut before what tells it apart, for breadcrumbs."""
        base = endpoint_titles.base_title(name=self.name, place=self.place, most=endpoint_titles.SHORT_CHARS)
        return endpoint_titles.with_mark(base, self.told_apart_by)

    @property
    def place(self) -> str:
        """The host and path of `known_as`, without a receiver's key."""
        shows_key = self.handles == self.url and self.reaches_receiver
        return endpoint_titles.place(self.known_as, hides_end=shows_key)

    @property
    def has_whole_url(self) -> bool:
        """Whether `url` is OpenTrain's. If not, it was cut: show it, but never open it or send it to OpenTrain."""
        return is_whole(self.url)

    @property
    def is_unread(self) -> bool:
        """Whether OpenTrain lists it with an entry that could not be read, so that its data is not updated."""
        return bool(self.unread_why) and self.deleted_at is None

    @property
    def cut_event_types(self) -> list[str]:
        """Event types whose names were cut or could not be read. They cannot be sent to OpenTrain."""
        return [name for name in self.event_types if not is_whole(name)]

    @property
    def is_received(self) -> bool:
        """Whether OpenTrain delivers it to its address of Redeliver's receiver."""
        return self.receiver_key is not None and leads_to(url=self.url, key=self.receiver_key)

    @property
    def is_routing(self) -> bool:
        """Whether OpenTrain was asked to deliver it through Redeliver, and has not shown that it does."""
        return self.routing_since is not None and not self.is_received and self.url == self.handler_url

    @property
    def is_bypassed(self) -> bool:
        """Whether Redeliver took itself out of its path: OpenTrain delivers to the handler again."""
        return self.bypassed_at is not None and not self.is_received and self.url == self.handler_url

    @property
    def is_moved(self) -> bool:
        """Whether OpenTrain delivered it to the receiver, and its URL was changed outside Redeliver since."""
        return self.receiver_key is not None and not (self.is_received or self.is_routing or self.is_bypassed)

    @property
    def reaches_receiver(self) -> bool:
        """Whether OpenTrain delivers it to an address of Redeliver's receiver, be it its own or another one."""
        return self.is_received or bool(key_in(url=self.url, receiver_url=settings.RECEIVER_URL))

    @property
    def claimed_key(self) -> str:
        """The receiver key in the URL of an endpoint that was not registered through the receiver; empty if none is."""
        return "" if self.receiver_key is not None else key_in(url=self.url, receiver_url=settings.RECEIVER_URL)

    @property
    def is_observed(self) -> bool:
        """Whether the handler may send observations."""
        return self.observation_key_sha256 is not None

    @property
    def is_logged(self) -> bool:
        """Whether it has a delivery log, from the receiver or from observations."""
        return self.is_received or self.is_observed

    @property
    def logged_since(self) -> datetime | None:
        """Since when its log is whole, as far as is known; None if it has no log. Deliveries of before may be in it."""
        return log_began(
            is_received=self.is_received,
            routed_at=self.routed_at,
            created_at=self.created_at,
            observed_at=self.observation_key_at,
        )


class EndpointWrite(models.Model):
    """A change to an endpoint that OpenTrain confirmed at `at`, with a state from before it (`rules.snapshots`).

    Rows are needed for as long as a list may lag behind the change. The endpoint's next change deletes older ones.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="writes")
    at = models.DateTimeField(help_text="When OpenTrain answered the change, by our own clock.")
    existed = models.BooleanField(help_text="Whether it was at OpenTrain before. The other columns describe how.")
    url_digest = models.CharField(max_length=64, blank=True)
    event_types = ArrayField(models.TextField(), default=list)
    status = models.TextField(blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    disabled_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"change of {self.endpoint_id} at {self.at:%Y-%m-%d %H:%M:%S}"

    @property
    def before(self) -> EndpointState | None:
        """The state before the change; None if there was no endpoint."""
        if not self.existed:
            return None
        return EndpointState(
            url_digest=self.url_digest,
            event_types=frozenset(self.event_types),
            status=self.status,
            consecutive_failures=self.consecutive_failures,
            disabled_at=self.disabled_at,
        )
