"""SIGKILL of a worker in the middle of a sweep: nothing is half-stored, and another worker reads the install."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from dashboard.actions.reconciliation.sweep import LEASE
from dashboard.models import Contract, Install, ProjectLink, Reconciliation
from tests.factories import make_install
from tests.faults.failed import wait_until
from tests.faults.serving import serving
from tests.services import misbehaving as bad
from tests.services.misbehaving import Connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("faults")]
LINK = {"id": "plk_1", "jobId": "job_1", "externalProjectId": "1"}
CONTRACT = {"id": "con_1", "status": "active", "jobId": "job_1", "projectLinkIds": ["plk_1"]}


def test_killed_sweep_leaves_nothing_half_stored_and_another_worker_goes_on(
    postgres_server: Any, tmp_path: Path
) -> None:
    install = make_install(token_scopes=["project-links:read", "contracts:read"], described_at=timezone.now())
    Install.objects.update(poll_after=timezone.now() + LEASE)
    hangs, asked = threading.Event(), threading.Event()

    def behave(server: Connection) -> None:
        target = server.read_request().target
        if "status=ended" in target and not hangs.is_set():
            asked.set()
            hangs.wait(60)
        body = json.dumps({"projectLinks": [LINK], "contracts": [] if "status=ended" in target else [CONTRACT]})
        head = bad.head(200, "Content-Type: application/json", f"Content-Length: {len(body)}")
        server.sock.sendall(head + body.encode())

    url = postgres_server.url(str(connection.settings_dict["NAME"]))
    with bad.misbehaving(behave) as opentrain:
        given = {"OPENTRAIN_BASE_URL": f"{opentrain.url}/api/partner/v1"}
        with serving(tmp_path, database_url=url, **given) as site:
            site.start_worker()
            assert asked.wait(60)
            site.kill()
            hangs.set()
            assert (ProjectLink.objects.count(), Contract.objects.count()) == (0, 0)
            known = Reconciliation.objects.get(install=install)
            assert known.due_at is not None
            assert known.due_at > timezone.now() + LEASE / 2
            site.start_worker()
            Reconciliation.objects.update(due_at=timezone.now())  # as if its lease were over
            wait_until(lambda: Contract.objects.filter(opentrain_id="con_1", gone_at=None).exists())
            assert ProjectLink.objects.get().opentrain_id == "plk_1"
