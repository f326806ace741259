"""The console, the receiver and their worker as one Django app."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
    label = "dashboard"
    verbose_name = "Redeliver"

    def ready(self) -> None:
        from dashboard.actions import sign_ins  # noqa: PLC0415 - models must be loaded
        from dashboard.auth import adapters  # noqa: F401, PLC0415 - registers signal receivers; models must be loaded

        sign_ins.connect()
