"""`python -m dashboard.receiver`: the receiver, and with RECEIVER_CONSOLE the front of the console.

It listens on RECEIVER_BIND: host:port, or fd://3 for a socket that it inherits from systemd or from its parent process.
A connection to an inherited socket waits while no receiver runs, so a restart refuses none.

SIGTERM and SIGINT end it: it accepts nothing more, finishes what has begun within DRAIN_S, and closes its connections.
It ends even if a thread waits for a database or a disk that does not answer.
To restart without a wait, start the next one on the same socket first, and then end this one.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from pathlib import Path
from typing import NoReturn

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
django.setup()

from django.conf import settings

from dashboard.receiver import routes_file
from dashboard.receiver.app import App
from dashboard.receiver.delivery import Deliveries
from dashboard.receiver.front import Front
from dashboard.receiver.garbage import collect_when_calm
from dashboard.receiver.handler_checks import HandlerChecks
from dashboard.receiver.journal import Journal
from dashboard.receiver.limits import Limits
from dashboard.receiver.observations import Observations
from dashboard.receiver.probes import Probes
from dashboard.receiver.routes import RouteTable
from dashboard.receiver.server import Server, bound
from dashboard.services.handler_calls import HandlerCalls

DRAIN_S = 12.0
"""How long requests in progress may take to end, in seconds. A delivery has ten."""
SWITCH_S = 0.0005
"""How long a thread waits for the interpreter while the event loop is busy, in seconds. A commit has several steps, and
each would wait for CPython's own 5 ms."""

logger = logging.getLogger("dashboard.receiver")


async def serve() -> None:
    """Serve until SIGTERM or SIGINT. Raises: OSError, ValueError."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    sockets = bound(settings.RECEIVER_BIND)
    most_open = descriptors()
    sys.setswitchinterval(SWITCH_S)
    async with contextlib.AsyncExitStack() as stack:
        limits = Limits(descriptors=most_open)
        app = await _app(stack, limits=limits)
        server = Server(app, most=most_open // 2)
        gc.collect()
        gc.freeze()  # what is loaded stays: full collections would traverse it while every delivery waits
        collecting = asyncio.create_task(collect_when_calm(waiting=lambda: limits.waiting))
        stack.callback(collecting.cancel)
        await server.listen(*sockets)
        logger.info("the receiver listens on %s", settings.RECEIVER_BIND)
        await ending.wait()
        logger.info("the receiver ends: it finishes what has begun")
        app.is_draining = True
        await server.drain(within_s=DRAIN_S)


async def _app(stack: contextlib.AsyncExitStack, *, limits: Limits) -> App:
    """Return what answers requests, with its parts started. They end with the stack, the last first."""
    calls = await stack.enter_async_context(HandlerCalls())
    folder = settings.RECEIVER_SPOOL_DIR
    routes = RouteTable(file=routes_file.path_in(folder))
    await routes.start()
    stack.push_async_callback(routes.stop)
    journal = Journal(
        folder=Path(folder) if folder else None,
        name=settings.RECEIVER_NAME,
        keys=settings.FIELD_KEYS,
        max_bytes=settings.RECEIVER_SPOOL_MAX_MB * 1024 * 1024,
    )
    await journal.start()
    stack.push_async_callback(journal.stop)
    checks = HandlerChecks(name=journal.name)
    checks.start()
    stack.callback(checks.end)
    observations = Observations()
    probes = Probes(can_keep=journal.can_keep, has_routes=lambda: routes.read_at is not None)
    stack.callback(observations.close)
    stack.callback(probes.close)
    return App(
        deliveries=Deliveries(routes=routes, calls=calls, journal=journal, limits=limits),
        observations=observations,
        probes=probes,
        front=Front(settings.RECEIVER_CONSOLE) if settings.RECEIVER_CONSOLE else None,
    )


def descriptors() -> int:
    """Raise the limit of open files to the hard one, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def main() -> NoReturn:
    """Run the receiver, and end the process."""
    try:
        asyncio.Runner().run(serve())  # closing it waits for threads
    except (OSError, ValueError) as error:
        logger.critical("the receiver cannot start: %s", error)
        _end(1)
    except Exception:
        logger.exception("the receiver failed")
        _end(1)
    _end(0)


def _end(status: int) -> NoReturn:
    """End the process without waiting for its threads, as Python does. All that has to be kept is on disk by now."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
