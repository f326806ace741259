"""The console's pages, and a Django admin change list of the same table.

The change list is what a developer would write to match the console's list: the same columns except the attempts, the
install joined rather than queried per row, and filters for state, event type, cause and time.
"""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import include, path

from dashboard.models import Delivery


class DeliveryAdmin(admin.ModelAdmin):
    list_display = (
        "opentrain_id",
        "event_type",
        "resource_id",
        "standing",
        "attempt_count",
        "last_status",
        "last_cause",
        "first_received_at",
        "last_attempt_at",
        "install",
    )
    list_select_related = ("endpoint__install",)
    list_filter = ("standing", "event_type", "last_cause", "first_received_at")
    ordering = ("-first_received_at", "-id")
    list_per_page = 50
    list_max_show_all = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Do not load bodies and secrets."""
        return super().get_queryset(request).defer("body", "endpoint__secret", "endpoint__install__token")

    @admin.display
    def install(self, delivery: Delivery) -> str:
        return delivery.endpoint.install.name


site = admin.AdminSite()
site.register(Delivery, DeliveryAdmin)
urlpatterns = [path("admin/", site.urls), path("", include("dashboard.urls"))]
