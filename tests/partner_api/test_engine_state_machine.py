"""The delivery rules, checked by a state machine: random operations of the API and the engine, compared with a model.

The model holds only what the contract says, and must never differ from the database. Attempts come in two forms. One is
a claim whose outcome is recorded later, after any time and any operations; it covers every interleaving of several
runners, lapsed claims, and answers after a pause, a requeue or a deletion. The other is a whole delivery run of the
engine, except for its POSTs. The machine counts the situations that it has to reach, and fails if it misses one.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from unittest import mock

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dashboard.partner_api import auth, clock, conf, engine, events, policy, record_outcomes, transport
from dashboard.partner_api import claims as ledger
from dashboard.partner_api.claims import Claim
from dashboard.partner_api.fair_scheduler import Ask
from dashboard.partner_api.models import Attempt, Delivery, Endpoint, Install, Token
from dashboard.partner_api.policy import Cause, Outcome
from tests.partner_api.conftest import BOTH, THEN, Partner, emit_one, make_partner
from tests.partner_api.delivery_model import LEASE, LIMIT, Model, Sent

MOST_ENDPOINTS = 4


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
"""Number of times that each situation of interest occurred."""

RULES = {
    "answered for a claim that had lapsed",
    "answered after a requeue",
    "answered after the deletion",
    "dropped a claim that had lapsed",
    "delivered after the end",
    "given up",
    "disabled",
    "disabled in a run",
    "claimed what was requeued while disabled",
    "refused a call",
}

PICKS = st.lists(st.integers(0, 999), min_size=1, max_size=12)
"""Indexes of posts in flight, taken one after the other; fewer posts may be in flight."""

WHICH = st.integers(0, MOST_ENDPOINTS - 1)
TYPES = st.sampled_from([BOTH, BOTH, ["contract.started"], ["contract.ended"]])
URLS = st.sampled_from([f"https://partner.example.com/{number}" for number in range(9)])


class Deliveries(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.now = THEN
        self.hands = contextlib.ExitStack()
        self.hands.enter_context(mock.patch.object(clock, "now", side_effect=lambda: self.now))
        self.partner = make_partner()
        self.models: dict[str, Model] = {}
        self.ids: list[str] = []  # of all existing endpoints, and of the one deleted last
        self.claims = 0
        self.in_flight: list[InFlight] = []
        self.token_lives = self.install_lives = True
        for _ in range(2):
            self.create(url="https://partner.example.com/", types=BOTH)

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            self.hands.close()
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    def _id(self, which: int) -> str:
        return self.ids[which % len(self.ids)]

    def _call(self, method: str, path: str, body: object = None, *, known: bool = True) -> dict | None:
        """Call the API and return its answer; None if the contract refuses the call."""
        answer = self.partner.call(method, f"/webhook-endpoints{path}", body)
        expected = 401 if not self.token_lives else 403 if not self.install_lives else 200 if known else 404
        assert answer.status == expected
        REACHED["refused a call"] += expected in {401, 403}
        return answer.json if expected == 200 else None

    def _on(self, which: int, method: str, path: str = "", body: object = None) -> tuple[Model, dict] | None:
        """Call an operation on an endpoint that may be deleted; return its model and the answer."""
        name = self._id(which)
        answer = self._call(method, f"/{name}{path}", body, known=name in self.models)
        return None if answer is None else (self.models[name], answer)

    def _tells(self, answer: dict, name: str) -> None:
        """Check that the endpoint in an answer matches the model."""
        told, model = answer["webhookEndpoint"], self.models[name]
        facts = {key: told[key] for key in ("id", "url", "eventTypes", "status", "consecutiveFailures")}
        assert facts == {
            "id": name,
            "url": model.url,
            "eventTypes": model.types,
            "status": "ACTIVE" if model.active else "DISABLED",
            "consecutiveFailures": model.streak,
        }
        assert (told["disabledAt"] is None, told["disabledReason"] is None) == (model.active, model.active)

    @precondition(lambda self: len(self.models) < MOST_ENDPOINTS)
    @rule(url=URLS, types=TYPES)
    def create(self, url: str, types: list[str]) -> None:
        """A new endpoint gets events from now on, and none from before."""
        answer = self._call("POST", "", {"url": url, "eventTypes": types})
        if answer is not None:
            name = answer["webhookEndpoint"]["id"]
            self.ids = [*self.models, name, *(gone for gone in self.ids[-1:] if gone not in self.models)]
            self.models[name] = Model(url=url, types=types)
            self._tells(answer, name)

    @rule(count=st.integers(1, 12), kind=st.sampled_from(BOTH))
    def emit(self, count: int, kind: str = "contract.started") -> None:
        if not self.install_lives:
            try:
                emit_one(self.partner, event_type=kind, now=self.now)
            except events.NotEmitted:
                return
            raise AssertionError("emitted for an install that is revoked")
        takers = {name: model for name, model in self.models.items() if model.active and kind in model.types}
        for _ in range(count):
            assert emit_one(self.partner, event_type=kind, now=self.now).deliveries == len(takers)
        for name, model in takers.items():
            for delivery in Delivery.objects.filter(endpoint_id=name).exclude(pk__in=model.sent):
                model.sent[delivery.pk] = Sent(due=self.now)

    @rule(seconds=st.sampled_from([1, 61, 61, 61, 300, 1800, 7200, -3600]))
    def wait(self, seconds: int) -> None:
        """Advance the time, or set the database's clock back."""
        self.now += timedelta(seconds=seconds)

    @rule(which=WHICH)
    def enable(self, which: int) -> None:
        if (done := self._on(which, "PATCH", body={"status": "ACTIVE"})) is not None:
            done[0].enable()
            self._tells(done[1], self._id(which))

    @rule(which=WHICH)
    def pause(self, which: int) -> None:
        if (done := self._on(which, "PATCH", body={"status": "DISABLED"})) is not None:
            done[0].active = False
            self._tells(done[1], self._id(which))

    @rule(which=WHICH, url=URLS, types=TYPES)
    def change(self, which: int, url: str, types: list[str]) -> None:
        """Pending deliveries go to the new URL, even if their type is no longer subscribed."""
        if (done := self._on(which, "PATCH", body={"url": url, "eventTypes": types})) is not None:
            done[0].url, done[0].types = url, types
            self._tells(done[1], self._id(which))

    @rule(which=WHICH, sure=st.integers(0, 9))
    def delete(self, which: int, sure: int) -> None:
        if sure == 0 and (done := self._on(which, "DELETE")) is not None:
            self._tells(done[1], self._id(which))
            del self.models[self._id(which)]

    @rule(which=WHICH)
    def redeliver_all(self, which: int) -> None:
        if (done := self._on(which, "POST", "/redeliver", {})) is not None:
            model, answer = done
            failed = [sent for sent in model.sent.values() if sent.status == "FAILED"]
            self._requeue(model, failed, answer, name=self._id(which))

    @rule(which=WHICH, pick=st.integers(0, 999))
    def redeliver_one(self, which: int, pick: int) -> None:
        model = self.models.get(self._id(which))
        if model is not None and model.sent:
            self._redeliver(which, list(model.sent)[pick % len(model.sent)])

    def redeliver_one_in_flight(self, which: int) -> None:
        mine = [post.claim.delivery_id for post in self.in_flight if post.claim.endpoint_id == self._id(which)]
        if mine and self._id(which) in self.models:
            self._redeliver(which, mine[-1])

    def _redeliver(self, which: int, delivery_id: str) -> None:
        if (done := self._on(which, "POST", "/redeliver", {"deliveryId": delivery_id})) is not None:
            model, answer = done
            self._requeue(model, [model.sent[delivery_id]], answer, name=self._id(which))

    def _requeue(self, model: Model, chosen: list[Sent], answer: dict, *, name: str) -> None:
        assert answer["requeued"] == len(chosen)
        assert ("Nothing is attempted while the endpoint is DISABLED." in answer["message"]) != model.active
        self._tells(answer, name)
        for sent in chosen:
            sent.requeue(self.now)

    @rule(sure=st.integers(0, 3), what=st.sampled_from(["token", "install"]))
    def revoke(self, sure: int, what: str) -> None:
        """A revoked token stops calls, a revoked install also stops events; pending deliveries are still delivered."""
        if sure == 0 and what == "token":
            auth.revoke(token_id=Token.objects.get().pk, now=self.now)
            self.token_lives = False
        elif sure == 0:
            Install.objects.update(status="REVOKED")
            self.install_lives = False

    @precondition(lambda self: not (self.token_lives and self.install_lives))
    @rule()
    def connect_anew(self) -> None:
        Install.objects.update(status="ACTIVE")
        issued = auth.issue(install=Install.objects.get(), name="new", scopes=["webhooks:manage"], now=self.now)
        Token.objects.exclude(pk=issued.id).delete()
        self.partner = Partner(install_id=self.partner.install_id, token=issued.text)
        self.token_lives = self.install_lives = True

    @rule(count=st.integers(1, 10))
    def claim(self, count: int) -> None:
        """Claim as a new runner that holds nothing. Near the limit it gets only as many as there are failures left."""
        due = {name: model.claimable(self.now) for name, model in self.models.items()}
        found = ledger.due_endpoints(now=self.now)
        assert set(found) == {name for name, names in due.items() if names}
        asks = [Ask(endpoint_id=name, count=count, held=0) for name in self.ids]
        claims = ledger.claim(asks=asks, now=self.now, knobs=conf.knobs())
        self.claims += 1
        for name, names in due.items():
            model, mine = self.models[name], {claim.delivery_id for claim in claims if claim.endpoint_id == name}
            assert mine <= set(names)
            assert len(mine) == min(count, len(names), max(1, LIMIT - model.streak))
            for delivery_id in mine:
                model.sent[delivery_id].held = (self.claims, self.now + LEASE)
        assert {claim.url for claim in claims} <= {model.url for model in self.models.values()}
        self.in_flight += [InFlight(claim=claim, number=self.claims) for claim in claims]

    def _take(self, picks: list[int]) -> list[InFlight]:
        return [self.in_flight.pop(pick % len(self.in_flight)) for pick in picks if self.in_flight]

    @precondition(lambda self: self.in_flight)
    @rule(picks=PICKS, outcome=OUTCOMES)
    def answer(self, picks: list[int], outcome: Outcome) -> None:
        """Record a batch of answers in one transaction."""
        posts = self._take(picks)
        results = [
            ledger.ClaimResult(claim=post.claim, outcome=outcome, started_at=self.now, ended_at=self.now, duration_ms=1)
            for post in posts
        ]
        record_outcomes.record(results=results, knobs=conf.knobs())
        for post in posts:
            model = self.models.get(post.claim.endpoint_id)
            REACHED["answered after the deletion"] += model is None
            if model is not None:
                self._answered(model, post.claim.delivery_id, post.number, post.claim.round, ok=outcome.ok)

    def _answered(self, model: Model, delivery_id: str, number: int, begun: int, *, ok: bool) -> None:
        sent, was_active = model.sent[delivery_id], model.active
        REACHED["answered for a claim that had lapsed"] += bool(sent.held and sent.held[0] != number)
        REACHED["answered after a requeue"] += sent.round != begun
        REACHED["delivered after the end"] += ok and not was_active
        model.answer(sent, number, begun, ok, self.now)
        REACHED["given up"] += sent.tries == 5 and sent.status == "FAILED"
        REACHED["disabled"] += was_active and not model.active

    @rule(outcomes=st.lists(OUTCOMES, min_size=1, max_size=4))
    def run(self, outcomes: list[Outcome]) -> None:
        """Run the engine from claim to record: it attempts all due deliveries, each once, and nothing else."""
        due = {name for model in self.models.values() for name in model.claimable(self.now)}
        posts: list[str] = []

        async def post(*, url: str, headers: dict[str, str], **_: object) -> Outcome:
            name = headers["X-OpenTrain-Delivery"]
            assert url == next(model.url for model in self.models.values() if name in model.sent)
            posts.append(name)
            return outcomes[len(posts) % len(outcomes)]

        with mock.patch.object(transport, "post", post):
            report = async_to_sync(engine.run)(clock=lambda: self.now, open_session=contextlib.nullcontext)
        assert (len(posts), len(set(posts))) == (report.attempted, report.attempted)
        assert set(posts) <= due
        for number, name in enumerate(posts, start=1):
            model = next(model for model in self.models.values() if name in model.sent)
            sent, was_active = model.sent[name], model.active
            self.claims += 1
            REACHED["claimed what was requeued while disabled"] += sent.round > 1 and sent.attempts == 0
            sent.held = (self.claims, self.now + LEASE)
            self._answered(model, name, self.claims, sent.round, ok=outcomes[number % len(outcomes)].ok)
            REACHED["disabled in a run"] += was_active and not model.active
        assert [model.claimable(self.now) for model in self.models.values()] == [[]] * len(self.models)

    @precondition(lambda self: self.in_flight)
    @rule(picks=PICKS)
    def drop(self, picks: list[int]) -> None:
        """Stop a runner before it posts."""
        posts = self._take(picks)
        ledger.release(claims=[post.claim for post in posts])
        for post in posts:
            model = self.models.get(post.claim.endpoint_id)
            sent = model.sent[post.claim.delivery_id] if model else Sent(due=None)
            REACHED["dropped a claim that had lapsed"] += bool(sent.held and sent.held[0] != post.number)
            if sent.held and sent.held[0] == post.number:
                sent.held = None

    @invariant()
    def nothing_differs(self) -> None:
        if not hasattr(self, "models"):
            return
        rows = Endpoint.objects.values_list("id", "status", "consecutive_failures", "url", "event_types")
        expected = {
            name: ("ACTIVE" if model.active else "DISABLED", model.streak, model.url, model.types)
            for name, model in self.models.items()
        }
        assert {name: tuple(values) for name, *values in rows} == expected
        names = ("id", "endpoint_id", "status", "next_attempt_at", "tries", "round", "attempts", "lease_until")
        sent = {
            name: (endpoint, sent.status, sent.due, sent.tries, sent.round, sent.attempts, sent.held and sent.held[1])
            for endpoint, model in self.models.items()
            for name, sent in model.sent.items()
        }
        assert {row[0]: row[1:] for row in Delivery.objects.values_list(*names)} == sent
        numbers: dict[str, list[int]] = {name: [] for name in sent}
        for name, number in Attempt.objects.order_by("number").values_list("delivery_id", "number"):
            numbers[name].append(number)
        assert numbers == {name: list(range(1, values[5] + 1)) for name, values in sent.items()}


class Outage(Deliveries):
    """The same with mostly failing posts, to reach the fifth attempt and the automatic disabling."""

    @rule(count=st.integers(0, 2), rounds=st.integers(2, 6), anew=st.booleans())
    def fail(self, count: int, rounds: int, anew: bool) -> None:
        for which in range(len(self.ids) if anew else 0):
            self.enable(which)
        if count:
            self.emit(count)
        for _ in range(rounds):
            self.now += timedelta(hours=2)
            self.claim(10)
            if self.in_flight:
                self.answer([0] * 20, Outcome(status=None, cause=Cause.TIMEOUT))

    @rule(which=WHICH, ok=st.booleans())
    def change_in_flight(self, which: int, ok: bool) -> None:
        """A claim outlives its lease, a requeue and a pause, and is answered in the end."""
        self.enable(which)
        self.emit(1)
        self.claim(10)
        self.redeliver_one_in_flight(which)
        self.now += LEASE + timedelta(seconds=1)
        self.claim(10)
        self.pause(which)
        if self.in_flight:
            self.answer([0] * 30, policy.answered(status=200 if ok else 500))

    @rule(which=WHICH)
    def drop_what_has_lapsed(self, which: int) -> None:
        self.enable(which)
        self.emit(1)
        self.claim(10)
        self.now += LEASE
        lapsed, self.in_flight = self.in_flight, []
        self.claim(10)
        taken_over, self.in_flight = self.in_flight, lapsed
        if lapsed:
            self.drop([0] * 30)
        self.in_flight += taken_over

    @rule(which=WHICH, ok=st.booleans())
    def delete_in_flight(self, which: int, ok: bool) -> None:
        self.enable(which)
        self.emit(1)
        self.claim(10)
        self.delete(which, sure=0)
        if self.in_flight:
            self.answer([0] * 30, policy.answered(status=200 if ok else 500))

    @rule(ok=st.booleans())
    def answer_after_the_automatic_disabling(self, ok: bool) -> None:
        for which in range(len(self.ids)):
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

    @rule(which=WHICH, outcomes=st.lists(OUTCOMES, min_size=1, max_size=4))
    def recover(self, which: int, outcomes: list[Outcome]) -> None:
        """A person's recovery after an automatic disabling, in the wrong order, with any outcome."""
        self.emit(6)
        self.run([Outcome(status=None, cause=Cause.DNS)])
        self.redeliver_all(which)
        self.run(outcomes)
        self.enable(which)
        self.run(outcomes)


@override_settings(ROOT_URLCONF="dashboard.partner_api.urls", PARTNER_API_CALLS_PER_MINUTE=10**9)
@pytest.mark.slow
class TestDeliveries(TestCase):
    def run_machine(self, machine: type[RuleBasedStateMachine], *, examples: int) -> None:
        case = machine.TestCase
        case.settings = settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        REACHED.clear()
        case().runTest()

    def test_random_operations_and_the_model_never_differ(self) -> None:
        self.run_machine(Deliveries, examples=40)

    def test_random_operations_in_an_outage_and_the_model_never_differ(self) -> None:
        self.run_machine(Outage, examples=25)
        assert {what for what in RULES if REACHED[what]} == RULES
