"""The console, the receiver and their worker as one Django app."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
    label = "dashboard"
    verbose_name = "Redeliver"

    def ready(self) -> None:
        from dashboard.actions import sign_ins  # noqa: PLC0415 - the same
        from dashboard.auth import adapters  # noqa: F401, PLC0415 - it listens for sign-ins; its models are there only now

        sign_ins.connect()
