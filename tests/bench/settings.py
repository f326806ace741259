"""The console's settings, plus one view for comparison."""

from dashboard.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.urls"
