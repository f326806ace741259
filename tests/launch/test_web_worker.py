"""Preparation of a web process before its first request."""

import os
import subprocess
import sys

from django.conf import settings

# Runs gunicorn's post_worker_init hook; prints whether the views are loaded and most objects frozen for the collector.
READY = """
import gc, runpy, sys, django
from types import SimpleNamespace
django.setup()
worker = SimpleNamespace(cfg=SimpleNamespace(reload=False))
runpy.run_path("gunicorn.conf.py")["post_worker_init"](worker)
print("dashboard.views.inbox" in sys.modules, gc.get_freeze_count() > 50_000)
"""


def test_web_process_loads_its_views_and_leaves_them_to_no_garbage_collection_before_it_answers() -> None:
    environ = {
        "SECRET_KEY": "only-for-tests",
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
    }
    command = [sys.executable, "-c", READY]
    done = subprocess.run(
        command, env=environ, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True True\n"
