"""gunicorn's configuration for the console and the Partner API. gunicorn reads it when started in this folder.

The command line overrides it, as `dashboard/launch/site.py` does on a single machine.
"""

import gc
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from django.urls import get_resolver
from gunicorn.util import make_fail_app

from dashboard import logs
from dashboard.config.environment import is_given

wsgi_app = "dashboard.wsgi:application"
_console = os.environ.get("RECEIVER_CONSOLE", "")  # the receiver is the front (dashboard/receiver/front.py)
bind = f"unix:{_console}" if _console else f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
umask = 0o077  # a Unix socket is for this user only
worker_class = "dashboard.launch.web_worker.WebWorker"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = 16
# A stopping worker finishes its requests.
graceful_timeout = 12
timeout = 60
# Longer than the 60 s of common load balancers: of two ends, the one that closes first must be the one that asks.
keepalive = int(os.environ.get("WEB_KEEP_ALIVE_S", "75"))
# Limits of a request, without its body, which each view limits. Larger ones get a 4xx.
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
# gunicorn believes no peer about itself: by default it takes SCRIPT_NAME, PATH_INFO and the scheme from the headers of
# loopback and Unix sockets. With BEHIND_PROXY=1, Django reads the headers of the proxy (dashboard/settings.py).
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
header_map = "drop"
# No access log: a receiver's path contains its key. Errors use Django's handlers and format.
accesslog = None
logconfig_dict = logs.config(form=os.environ.get("LOG_FORMAT", "text"), level=os.environ.get("LOG_LEVEL", "INFO"))
# Python's sendfile waits for a client forever; an ordinary send times out (web_worker.py).
sendfile = False
control_socket_disable = True


def _folder_in_memory() -> str | None:
    """Return /dev/shm, or None (gunicorn's own choice) where we cannot make a file in it, as in some containers."""
    try:
        with tempfile.TemporaryFile(dir="/dev/shm"):
            return "/dev/shm"  # noqa: S108 - gunicorn makes its own unguessable files there
    except OSError:
        return None


# Each worker touches a file there every second; on a disk that can block.
worker_tmp_dir = _folder_in_memory()

# What the processes count is added up from one folder (dashboard/metrics.py). To have the worker's calls to OpenTrain
# in it too, give both the same PROMETHEUS_MULTIPROC_DIR.
_made = ""
if is_given("METRICS_TOKEN") and not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    _made = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="redeliver-metrics-")


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Load what the first request would load, and exempt permanent objects from garbage collection.

    Full collections would traverse them repeatedly while every request of the process waits: they made the 99th
    percentile of receipts half as long again (`make bench-receiver`).
    """
    if worker.cfg.reload:
        _load_or_show(worker)
        return
    get_resolver().url_patterns  # noqa: B018 - reading it loads the views
    gc.collect()
    gc.freeze()


def _load_or_show(worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """For `make dev`: answer with the trace while the code cannot be loaded; gunicorn does that for a SyntaxError only.

    Django's debug page would load all of it again for each request, and take minutes.
    """
    try:
        get_resolver().url_patterns  # noqa: B018 - reading it loads the views
    except Exception:  # noqa: BLE001 - whatever code raises that is being written
        worker.wsgi = make_fail_app(traceback.format_exc())


def on_exit(_server: object) -> None:
    if _made:
        shutil.rmtree(_made, ignore_errors=True)
