"""The engine under faults, with real processes: killed workers and a restarting database.

A receiver records every POST with its response; in the end the database must agree with it."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.bench import engine_rows
from tests.faults import engine_database as database
from tests.faults.lengths import fitting
from tests.faults.receivers import Post, Recorder, Workers, serve

KILLS, RESTARTS, IN_FLIGHT = fitting(24, least=4), fitting(6, least=2), 40
TRIES = 5

pytestmark = pytest.mark.xdist_group("engine_faults")


@pytest.fixture(scope="module")
def prepared() -> Iterator[tuple[object, dict[str, str]]]:
    with engine_rows.database(durable=False) as (server, environment):
        # Long enough that busy cores cause no timeouts: the receiver would have responded to an attempt that timed out.
        knobs = {"PARTNER_API_TIMEOUT_S": "9", "PARTNER_API_LEASE_S": "10", "PARTNER_API_DISABLE_AFTER": "1000000"}
        yield server, environment | knobs | {"PARTNER_API_RETRY_DELAYS_S": "1,1,1,1"}


def is_refused(delivery_id: str) -> bool:
    """Return whether the receiver always refuses the delivery: one in 16."""
    return delivery_id.endswith("7")


def answer(delivery_id: str, earlier: int) -> int:
    """Refuse one in 16 deliveries always and three in 16 once, with statuses of every kind."""
    if is_refused(delivery_id):
        return 410
    if earlier == 0 and delivery_id[-1] in "89a":
        return {"8": 500, "9": 302, "a": 429}[delivery_id[-1]]
    return 204 if delivery_id.endswith("b") else 200


def check_agreement(facts: database.Facts, posts: list[Post]) -> None:
    """Assert that each delivery ended as the receiver responded, and that every recorded response was really given."""
    answered: dict[str, Counter[int]] = {name: Counter() for name in facts.states}
    last: dict[str, int] = {}
    for post in posts:
        answered[post.delivery_id][post.status] += 1
        last[post.delivery_id] = post.status
    for name, state in facts.states.items():
        assert state == ("FAILED" if is_refused(name) else "DELIVERED")
        assert facts.recorded[name] <= answered[name]
        assert facts.recorded[name][last[name]] == (TRIES if is_refused(name) else 1)
    assert facts.held == 0


def expected_states(names: list[str]) -> dict[str, int]:
    return dict(Counter("FAILED" if is_refused(name) else "DELIVERED" for name in names))


def names_of(url: str) -> list[str]:
    return list(database.facts(url).states)


def test_workers_killed_again_and_again_lose_nothing_and_repeat_only_what_was_in_flight(prepared, capsys) -> None:
    server, environment = prepared
    url, count, recorder = server.url("partner_api"), 250 * KILLS, Recorder(answer)
    environment = environment | {"PARTNER_API_MAX_IN_FLIGHT": str(IN_FLIGHT), "PARTNER_API_MAX_PER_ENDPOINT": "4"}
    receiver = serve(recorder)
    database.load(url, environment, receiver.url, count=count)
    workers, chance = Workers(environment, count=2), random.Random(11)  # noqa: S311
    claims: set[tuple[str, str]] = set()
    try:
        for kill in range(KILLS):
            # Kill a worker only while it works: wait until more POSTs have arrived, then for a random time.
            database.until_arrived(workers, recorder, count=(kill + 1) * count // (KILLS + 2))
            time.sleep(chance.random() * 0.2)
            workers.kill(kill % 2)
            before = database.held(url)
            time.sleep(0.3)
            # The other worker's deliveries are settled by now, so these claims belong to the killed worker.
            claims |= before & database.held(url)
            workers.tend()
        database.finish(workers, url, expected=expected_states(names_of(url)), seconds=180)
    finally:
        workers.end()
        receiver.stop()
    facts = database.facts(url)
    check_agreement(facts, recorder.posts)
    lost = Counter(name for name, _ in claims)
    arrived = Counter(post.delivery_id for post in recorder.posts)
    repeats = {name: arrived[name] - statuses.total() for name, statuses in facts.recorded.items()}
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{KILLS} kills, {count} deliveries: {len(recorder.posts)} posts, {sum(repeats.values())} of them "
            f"repeated, {lost.total()} were in flight at a kill"
        )
    assert {name: repeat for name, repeat in repeats.items() if repeat > lost[name]} == {}


def test_a_database_that_restarts_again_and_again_loses_nothing(prepared, capsys) -> None:
    server, environment = prepared
    url, count, recorder = server.url("partner_api"), 1000 * RESTARTS, Recorder(answer)
    environment = environment | {"PARTNER_API_MAX_IN_FLIGHT": str(IN_FLIGHT)}
    receiver = serve(recorder)
    database.load(url, environment, receiver.url, count=count)
    workers = Workers(environment, count=1)
    try:
        for part in range(RESTARTS):
            database.until_arrived(workers, recorder, count=count * (part + 1) // (RESTARTS + 2))
            database.restart(server)
        database.finish(workers, url, expected=expected_states(names_of(url)), seconds=180)
    finally:
        workers.end()
        receiver.stop()
    facts = database.facts(url)
    check_agreement(facts, recorder.posts)
    repeats = len(recorder.posts) - facts.attempts
    with capsys.disabled():
        print(f"\n{RESTARTS} restarts, {count} deliveries: {len(recorder.posts)} posts, {repeats} repeated")  # noqa: T201
    assert 0 <= repeats <= RESTARTS * IN_FLIGHT
