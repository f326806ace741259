"""The console, the receiver and their worker as one Django app."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "dashboard"
    label = "dashboard"
    verbose_name = "Redeliver"

    def ready(self) -> None:
        from dashboard.views import sign_ins  # noqa: PLC0415 - its models are there only now

        sign_ins.connect()
