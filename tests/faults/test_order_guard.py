"""A handler that gives and takes access, behind the real receiver: a recovery must not give it back to who has left.

OpenTrain is the Partner API with its engine, over HTTP.
"""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.actions.runs import commands, steps
from dashboard.models import Delivery, Endpoint, Run
from dashboard.partner_api import engine
from tests.contract.partner_api import PartnerApi, served
from tests.factories import make_user
from tests.faults.failed import truncate_jobs
from tests.faults.receiver_process import receiving
from tests.faults.receivers import Server
from tests.faults.serving import Site
from tests.launch.test_processes_stay_up import until

pytestmark = [
    pytest.mark.urls("dashboard.partner_api.urls"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("faults"),
]
STARTED, ENDED = "contract.started", "contract.ended"
ROUNDS = 40
"""Delivery runs after which a recovery of three deliveries has surely ended."""


@dataclass
class Handler:
    """Gives access to a contract when it starts, and takes it away when it ends, as handlers do. It compares nothing.

    It fails events of the types in `fails`.
    """

    fails: set[str] = field(default_factory=set)
    access: set[str] = field(default_factory=set)

    def take(self, event: dict[str, Any]) -> int:
        if event["type"] in self.fails:
            return 503
        change = self.access.add if event["type"] == STARTED else self.access.discard
        change(event["resourceId"])
        return 200


@contextlib.contextmanager
def handling() -> Iterator[tuple[Handler, str]]:
    """Run a handler until the block ends; yield it with its URL."""
    handler = Handler()

    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(handler.take(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield handler, server.url
    finally:
        server.stop()


@dataclass
class World:
    """An endpoint whose deliveries go through the receiver to the handler."""

    opentrain: PartnerApi
    job: str
    endpoint: Endpoint
    handler: Handler

    def deliver(self) -> None:
        """Have OpenTrain's next delivery run attempt what is due."""
        async_to_sync(engine.run)()

    def hire(self, *, taken: bool) -> str:
        self.handler.fails = set() if taken else {STARTED}
        contract = self.opentrain.hire(self.job)
        self.deliver()
        return contract

    def end(self, contract: str, *, taken: bool) -> None:
        self.handler.fails = set() if taken else {ENDED}
        self.opentrain.end(contract)
        self.deliver()

    def recover(self, *, include_overtaken: bool = False) -> Run:
        """Have OpenTrain disable the endpoint, repair the handler, and recover the endpoint to the end."""
        self.opentrain.disable(str(self.endpoint.opentrain_id), "10 consecutive failures")
        sync.refresh(install=self.endpoint.install, now=timezone.now())
        self.handler.fails = set()
        run = commands.start_recovery(
            actor=make_user(),
            endpoint=self.endpoint,
            note="",
            now=timezone.now(),
            operation=uuid.uuid4(),
            checks_handler=False,
            include_overtaken=include_overtaken,
        )
        for _ in range(ROUNDS):
            steps.advance(run_id=run.pk, clock=timezone.now)
            self.deliver()
            run.refresh_from_db()
            if not run.is_active:
                break
        return run


@pytest.fixture
def world(postgres_server: Any, settings: Any, tmp_path: Path) -> Iterator[World]:
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
    truncate_jobs()
    url = postgres_server.url(str(connection.settings_dict["NAME"]))
    environment = Site(folder=tmp_path, port=0, database_url=url).environment | {"RECEIVER_CONSOLE": ""}
    with (
        served() as settings.OPENTRAIN_BASE_URL,
        handling() as (handler, handler_url),
        receiving(tmp_path, environment=environment) as receiver,
    ):
        settings.RECEIVER_URL = f"http://localhost:{receiver.port}"
        opentrain, actor = PartnerApi(), make_user()
        token = opentrain.add_install()
        _, install = sync.connect(actor=actor, token=token, name="Acme", now=timezone.now(), operation=uuid.uuid4())
        _, endpoint, _ = endpoints.register(
            actor=actor,
            install=install,
            url="",
            handler_url=handler_url,
            through_redeliver=True,
            event_types=[STARTED, ENDED],
            clock=timezone.now,
            operation=uuid.uuid4(),
        )
        assert endpoint is not None
        job = opentrain.add_job(token)
        opentrain.add_link(token, job_id=job)
        found = World(opentrain, job, endpoint, handler)
        first = found.hire(taken=True)
        until(lambda: handler.access == {first})  # the receiver knows the endpoint
        handler.access.clear()
        yield found
    truncate_jobs()


@pytest.mark.parametrize("is_guarded", [True, False])
def test_recovery_gives_no_access_back_unless_that_was_chosen(world: World, is_guarded: bool) -> None:
    left = world.hire(taken=False)
    world.end(left, taken=True)
    stays = world.hire(taken=False)
    assert world.handler.access == set()
    run = world.recover(include_overtaken=not is_guarded)
    assert (run.state, run.counts["left_out"]) == ("done", int(is_guarded))
    assert world.handler.access == ({stays} if is_guarded else {stays, left})


def test_recovery_takes_access_away_where_the_end_failed_too(world: World) -> None:
    left = world.hire(taken=True)
    world.end(left, taken=False)
    never = world.hire(taken=False)
    world.end(never, taken=False)
    assert world.handler.access == {left}
    run = world.recover()
    assert (run.state, run.counts["delivered"], run.counts["left_out"]) == ("done", 2, 1)
    assert world.handler.access == set()


def test_one_call_for_all_failed_would_have_given_access_back(world: World) -> None:
    """What the guard is for: the call is one that people can still make, after a question."""
    left = world.hire(taken=False)
    world.end(left, taken=True)
    world.opentrain.disable(str(world.endpoint.opentrain_id), "10 consecutive failures")
    sync.refresh(install=world.endpoint.install, now=timezone.now())
    world.handler.fails = set()
    given = {"actor": make_user(), "endpoint": world.endpoint, "clock": timezone.now}
    endpoints.enable(**given, operation=uuid.uuid4())
    endpoints.redeliver_failed(**given, operation=uuid.uuid4())
    world.deliver()
    assert world.handler.access == {left}
    assert Delivery.objects.get(event_type=STARTED, resource_id=left).last_ok
