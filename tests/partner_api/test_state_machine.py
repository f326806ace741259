"""The whole of the delivery rules, proven: random operations against the API's functions and the engine's ledger, and
against a model of twenty lines that holds what the contract says and nothing else. They must never differ.

The POST itself is left out: an attempt is a claim, any time and any operations later an outcome, and its record. So
every interleaving of several runners is tried: claims that lapse, answers after a pause, a requeue or a deletion. What
has to have happened on the way is counted, so that a machine that no longer gets there fails.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dashboard.partner_api import auth, conf, endpoints, ledger, policy, settling
from dashboard.partner_api.endpoints import Changes
from dashboard.partner_api.errors import NotFound
from dashboard.partner_api.ledger import Claim
from dashboard.partner_api.models import Attempt, Delivery, Endpoint, Install, Token
from dashboard.partner_api.policy import Cause, Outcome
from dashboard.partner_api.rota import Ask
from tests.partner_api.conftest import THEN, emit_one, make_endpoint, make_partner

DELAYS = [timedelta(minutes=minutes) for minutes in (1, 5, 30, 120)]
LEASE = timedelta(seconds=60)


@dataclass
class Sent:
    """The model of one delivery."""

    status: str = "PENDING"
    due: datetime | None = THEN
    tries: int = 0
    round: int = 1
    attempts: int = 0
    held: tuple[int, datetime] | None = None


@dataclass
class Model:
    """The model of one endpoint: the contract's rules, and the edges that `policy` and `endpoints` write down."""

    active: bool = True
    streak: int = 0
    sent: dict[str, Sent] = field(default_factory=dict)

    def enable(self) -> None:
        self.active, self.streak = True, 0

    def requeue(self, sent: Sent, now: datetime) -> None:
        sent.status, sent.due, sent.tries, sent.round = "PENDING", now, 0, sent.round + 1

    def claimable(self, now: datetime) -> list[str]:
        due = (name for name, sent in self.sent.items() if sent.status == "PENDING" and sent.due <= now)
        return [name for name in due if self.active and (self.sent[name].held or (0, now))[1] <= now]

    def answer(self, sent: Sent, claim: int, begun: int, ok: bool, now: datetime) -> None:
        sent.attempts += 1
        sent.held = None if sent.held and sent.held[0] == claim else sent.held
        current = sent.round == begun
        sent.tries += current
        if self.active:
            self.streak = 0 if ok else self.streak + 1
        if current and ok:
            sent.status, sent.due = "DELIVERED", None
        elif current and sent.status == "PENDING":
            again = sent.tries <= len(DELAYS)
            sent.status, sent.due = ("PENDING", now + DELAYS[sent.tries - 1]) if again else ("FAILED", None)
        if self.active and self.streak >= 10:
            self.active = False
            for other in self.sent.values():
                if other.status == "PENDING":
                    other.status, other.due = "FAILED", None


@dataclass(frozen=True)
class InFlight:
    claim: Claim
    number: int


OUTCOMES = st.one_of(
    st.sampled_from([200, 204, 299]).map(lambda status: policy.answered(status=status)),
    st.sampled_from([301, 400, 401, 404, 410, 429, 500, 503]).map(lambda status: policy.answered(status=status)),
    st.sampled_from([cause for cause in Cause if cause is not Cause.STATUS]).map(
        lambda cause: Outcome(status=None, cause=cause)
    ),
)


REACHED: Counter[str] = Counter()
"""How often each thing happened that the rules are about."""

RULES = {
    "answered for a claim that had lapsed",
    "answered after a requeue",
    "delivered after the end",
    "given up",
    "disabled",
}

PICKS = st.lists(st.integers(0, 999), min_size=1, max_size=12)
"""Which of the posts in flight, one after the other; there may be fewer."""


class Deliveries(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.now = THEN
        self.partner = make_partner()
        self.models = {make_endpoint(self.partner).endpoint.pk: Model() for _ in range(2)}
        self.ids = list(self.models)
        self.claims = 0
        self.in_flight: list[InFlight] = []
        self.active = True

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    def _take(self, picks: list[int]) -> list[InFlight]:
        return [self.in_flight.pop(pick % len(self.in_flight)) for pick in picks if self.in_flight]

    def _change(self, which: int, **changes: object) -> bool:
        wanted = {"install_id": self.partner.install_id, "endpoint_id": self.ids[which]}
        try:
            endpoints.change(**wanted, changes=Changes(**changes), now=self.now)
        except NotFound:
            assert self.ids[which] not in self.models
            return False
        return True

    @precondition(lambda self: self.active)
    @rule(count=st.integers(1, 12))
    def emit(self, count: int) -> None:
        for _ in range(count):
            made = emit_one(self.partner, now=self.now)
            assert made.deliveries == sum(model.active for model in self.models.values())
        for name, model in self.models.items():
            for delivery in Delivery.objects.filter(endpoint_id=name).exclude(pk__in=model.sent):
                model.sent[delivery.pk] = Sent(due=self.now)

    @rule(seconds=st.sampled_from([1, 61, 61, 61, 300, 1800, 7200]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(which=st.integers(0, 1))
    def enable(self, which: int) -> None:
        if self._change(which, status="ACTIVE"):
            self.models[self.ids[which]].enable()

    @rule(which=st.integers(0, 1))
    def pause(self, which: int) -> None:
        if self._change(which, status="DISABLED"):
            self.models[self.ids[which]].active = False

    @rule(which=st.integers(0, 1))
    def change_url(self, which: int) -> None:
        self._change(which, url="https://elsewhere.example.com/", event_types=["contract.started"])

    @rule(which=st.integers(0, 1), sure=st.integers(0, 9))
    def delete(self, which: int, sure: int) -> None:
        if sure == 0 and self.models.pop(self.ids[which], None) is not None:
            endpoints.delete(install_id=self.partner.install_id, endpoint_id=self.ids[which])

    @rule(which=st.integers(0, 1))
    def redeliver_all(self, which: int) -> None:
        model = self.models.get(self.ids[which], Model())
        failed = [sent for sent in model.sent.values() if sent.status == "FAILED"]
        wanted = {"install_id": self.partner.install_id, "endpoint_id": self.ids[which], "delivery_id": None}
        try:
            assert endpoints.redeliver(**wanted, now=self.now).count == len(failed)
        except NotFound:
            assert self.ids[which] not in self.models
        for sent in failed:
            model.requeue(sent, self.now)

    @rule(which=st.integers(0, 1), data=st.data())
    def redeliver_one(self, which: int, data: st.DataObject) -> None:
        model = self.models.get(self.ids[which])
        if model is not None and model.sent:
            self._requeue(which, data.draw(st.sampled_from(list(model.sent))))

    def redeliver_one_if_any(self, which: int) -> None:
        mine = [post.claim.delivery_id for post in self.in_flight if post.claim.endpoint_id == self.ids[which]]
        if mine and self.ids[which] in self.models:
            self._requeue(which, mine[-1])

    def _requeue(self, which: int, name: str) -> None:
        wanted = {"install_id": self.partner.install_id, "endpoint_id": self.ids[which], "delivery_id": name}
        assert endpoints.redeliver(**wanted, now=self.now).count == 1
        model = self.models[self.ids[which]]
        model.requeue(model.sent[name], self.now)

    @rule(sure=st.integers(0, 19))
    def revoke(self, sure: int) -> None:
        """A revoked token ends calls, and a revoked install its events; what is to be delivered is delivered."""
        if sure:
            return
        auth.revoke(token_id=Token.objects.get().pk, now=self.now)
        Install.objects.update(status="REVOKED")
        self.active = False

    @rule(count=st.integers(1, 10))
    def claim(self, count: int) -> None:
        """A runner of its own: it holds nothing yet. At the limit it is given only as many as failures are left."""
        due = {name: model.claimable(self.now) for name, model in self.models.items()}
        found = ledger.due_endpoints(now=self.now)
        assert set(found) == {name for name, names in due.items() if names}
        asks = [Ask(endpoint_id=name, count=count, held=0) for name in self.ids]
        claims = ledger.claim(asks=asks, now=self.now, knobs=conf.knobs())
        self.claims += 1
        for name, names in due.items():
            mine = {claim.delivery_id for claim in claims if claim.endpoint_id == name}
            assert mine <= set(names)
            assert len(mine) == min(count, len(names), max(1, 10 - self.models[name].streak))
            for delivery_id in mine:
                self.models[name].sent[delivery_id].held = (self.claims, self.now + LEASE)
        self.in_flight += [InFlight(claim=claim, number=self.claims) for claim in claims]

    @precondition(lambda self: self.in_flight)
    @rule(picks=PICKS, outcome=OUTCOMES)
    def answer(self, picks: list[int], outcome: Outcome) -> None:
        """A batch of answers, recorded in one transaction."""
        posts = self._take(picks)
        results = [
            ledger.Result(claim=post.claim, outcome=outcome, started_at=self.now, ended_at=self.now, duration_ms=1)
            for post in posts
        ]
        settling.record(results=results, knobs=conf.knobs())
        for post in posts:
            model = self.models.get(post.claim.endpoint_id)
            if model is not None:
                sent, was_active = model.sent[post.claim.delivery_id], model.active
                REACHED["answered for a claim that had lapsed"] += bool(sent.held and sent.held[0] != post.number)
                REACHED["answered after a requeue"] += sent.round != post.claim.round
                REACHED["delivered after the end"] += outcome.ok and not was_active
                model.answer(sent, post.number, post.claim.round, outcome.ok, self.now)
                REACHED["given up"] += sent.tries == 5 and sent.status == "FAILED"
                REACHED["disabled"] += was_active and not model.active

    @precondition(lambda self: self.in_flight)
    @rule(picks=PICKS)
    def drop(self, picks: list[int]) -> None:
        """A runner is told to stop before it posted."""
        posts = self._take(picks)
        ledger.release(claims=[post.claim for post in posts])
        for post in posts:
            model = self.models.get(post.claim.endpoint_id)
            sent = model.sent[post.claim.delivery_id] if model else Sent()
            if sent.held and sent.held[0] == post.number:
                sent.held = None

    @invariant()
    def nothing_differs(self) -> None:
        if not hasattr(self, "models"):
            return
        rows = Endpoint.objects.values_list("id", "status", "consecutive_failures")
        expected = {
            name: ("ACTIVE" if model.active else "DISABLED", model.streak) for name, model in self.models.items()
        }
        assert {name: (status, streak) for name, status, streak in rows} == expected
        names = ("id", "status", "next_attempt_at", "tries", "round", "attempts", "lease_until")
        sent = {
            name: (sent.status, sent.due, sent.tries, sent.round, sent.attempts, sent.held and sent.held[1])
            for model in self.models.values()
            for name, sent in model.sent.items()
        }
        assert {row[0]: row[1:] for row in Delivery.objects.values_list(*names)} == sent
        assert Attempt.objects.count() == sum(values[4] for values in sent.values())


class Outage(Deliveries):
    """The same, where most posts fail: this way leads to the fifth attempt and to the automatic disabling."""

    @rule(count=st.integers(0, 3), rounds=st.integers(2, 6))
    def fail(self, count: int, rounds: int) -> None:
        if count and self.active:
            self.emit(count)
        for _ in range(rounds):
            self.now += timedelta(hours=2)
            self.claim(10)
            if self.in_flight:
                self.answer([0] * 20, Outcome(status=None, cause=Cause.TIMEOUT))

    @rule(which=st.integers(0, 1), ok=st.booleans())
    def change_in_flight(self, which: int, ok: bool) -> None:
        """What is in flight outlives its lease, a requeue and a pause; its answer comes in the end."""
        self.enable(which)
        self.claim(10)
        self.redeliver_one_if_any(which)
        self.now += LEASE + timedelta(seconds=1)
        self.claim(10)
        self.pause(which)
        if self.in_flight:
            self.answer([0] * 5, policy.answered(status=200 if ok else 500))

    @rule(ok=st.booleans())
    def answer_after_the_automatic_disabling(self, ok: bool) -> None:
        if not self.active:
            return
        for which in (0, 1):
            self.enable(which)
        self.emit(12)
        self.claim(1)
        late, self.in_flight = self.in_flight, []
        for _ in range(2):
            self.claim(10)
            if self.in_flight:
                self.answer([0] * 30, Outcome(status=None, cause=Cause.REFUSED))
        self.in_flight = late
        if self.in_flight:
            self.answer([0] * 30, policy.answered(status=200 if ok else 500))


class TestDeliveries(TestCase):
    def run_machine(self, machine: type[RuleBasedStateMachine], *, examples: int) -> None:
        case = machine.TestCase
        case.settings = settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        REACHED.clear()
        case().runTest()

    def test_random_operations_and_the_model_never_differ(self) -> None:
        self.run_machine(Deliveries, examples=60)

    def test_random_operations_in_an_outage_and_the_model_never_differ(self) -> None:
        self.run_machine(Outage, examples=30)
        assert {what for what in RULES if REACHED[what]} == RULES
