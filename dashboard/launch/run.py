"""`make run`: the console, the receiver and the worker, connected to OpenTrain."""

import contextlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dashboard.launch import site
from dashboard.launch.folder import keys
from dashboard.launch.processes import Processes


def run(*, folder: Path, port: int) -> None:
    """Start everything, print the URL, and run until stopped.

    Raises: CannotStart, Stopped.
    """
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(site.door(folder=folder, port=port))
        environment = site.environment(folder=folder, keys=keys(folder), port=port) | door.environment
        database = stack.enter_context(site.database(folder))
        logs = folder / "logs"
        processes = stack.enter_context(Processes(logs=logs, environment={**environment, **database.environment}))
        if database.server is not None:
            processes.keep("postgres", database.server)
        site.forget_counts(folder)
        processes.start("migrate", *site.manage("migrate", "--noinput"))
        processes.start("static", *site.manage("collectstatic", "--noinput"))
        processes.finish("migrate", "static")
        begins = site.work_begins(database.server, database="redeliver") if database.server is not None else None
        site.start_site(processes=processes, door=door)
        processes.await_answer(f"{door.url}/accounts/login/", within_s=site.UP_S)
        if begins is not None:
            processes.await_true("worker", begins, within_s=site.UP_S)
        print(f"Redeliver is up: {environment['PUBLIC_URL']}", flush=True)  # noqa: T201
        _say_first_steps({**environment, **database.environment})
        processes.watch()


def _say_first_steps(environment: Mapping[str, str]) -> None:
    """Print how to create an account if there is none."""
    told = subprocess.run(
        site.manage("first_account"), env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    print(told.stdout, end="", flush=True)  # noqa: T201


def manage(*, folder: Path, arguments: list[str]) -> int:
    """Run a Django management command on the folder's data, whether or not Redeliver is running on it.

    Raises: CannotStart.
    """
    environment = site.environment(folder=folder, keys=keys(folder), port=8000)
    with site.database(folder, shared=True) as database:
        command = site.manage(*arguments)
        return subprocess.run(
            command, env={**os.environ, **environment, **database.environment}, check=False
        ).returncode
