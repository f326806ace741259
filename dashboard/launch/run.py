"""`make run`: the console, the receiver and the worker, connected to OpenTrain."""

import os
import subprocess
from pathlib import Path

from dashboard.launch import site
from dashboard.launch.folder import keys
from dashboard.launch.processes import Processes, claim_port


def run(*, folder: Path, port: int) -> None:
    """Start everything, print the URL, and run until stopped.

    Raises: CannotStart, Stopped.
    """
    port = claim_port(port)
    environment = site.environment(folder=folder, keys=keys(folder), port=port)
    with (
        site.database(folder) as database,
        Processes(logs=folder / "logs", environment={**environment, **database.environment}) as processes,
    ):
        if database.server is not None:
            processes.keep("postgres", database.server)
        site.forget_counts(folder)
        processes.start("migrate", *site.manage("migrate", "--noinput"))
        processes.start("static", *site.manage("collectstatic", "--noinput"))
        processes.finish("migrate", "static")
        begins = site.work_begins(database.server, database="redeliver") if database.server is not None else None
        site.start_console(processes=processes, port=port)
        processes.await_answer(f"http://127.0.0.1:{port}/accounts/login/", within_s=site.UP_S)
        if begins is not None:
            processes.await_true("worker", begins, within_s=site.UP_S)
        print(f"Redeliver is up: {environment['PUBLIC_URL']}", flush=True)  # noqa: T201
        processes.watch()


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
