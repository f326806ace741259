"""An install that the fake OpenTrain knows, a sweep of it, and what is stored then."""

from datetime import datetime, timedelta
from typing import Any

from dashboard.actions.installs.rounds import Done
from dashboard.actions.reconciliation import sweep
from dashboard.models import ContractChange, Install, Reconciliation
from tests.contract.fake import SCOPES, FakeOpenTrain
from tests.factories import NOON, make_install

MINUTE = timedelta(minutes=1)
TEN = 10 * MINUTE


class Judged:
    """Keeps which installs were judged."""

    def __init__(self) -> None:
        self.installs: list[tuple[int, datetime]] = []

    def __call__(self, *, install_id: int, now: datetime) -> None:
        self.installs.append((install_id, now))


def go(at: datetime = NOON, judge: Judged | None = None, budget: timedelta = MINUTE) -> Done:
    return sweep.sweep(clock=lambda: at, budget=budget, judge=judge or Judged())


def make_read(fake: FakeOpenTrain, *, scopes: tuple[str, ...] = SCOPES, **columns: Any) -> Install:
    """An install that the fake knows, whose endpoints Redeliver has polled."""
    token = fake.add_install(scopes=scopes)
    about = fake._installs[token]
    given = {"token": token, "token_scopes": list(scopes), "opentrain_id": about.id, "token_id": about.token.id}
    return make_install(**given | columns)


def state(install: Install) -> Reconciliation:
    return Reconciliation.objects.get(install=install)


def changes() -> list[tuple[str, str, str]]:
    return list(ContractChange.objects.order_by("pk").values_list("what", "before", "after"))


def calls(fake: FakeOpenTrain) -> list[str]:
    return [call.operation for call in fake.calls]
