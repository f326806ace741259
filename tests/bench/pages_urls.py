"""The console's pages, and a change list of the same table as Django's admin makes it."""

from django.contrib import admin
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
    )
    list_filter = ("standing", "event_type", "first_received_at")
    ordering = ("-first_received_at", "-id")
    list_per_page = 50
    list_max_show_all = 50


site = admin.AdminSite()
site.register(Delivery, DeliveryAdmin)
urlpatterns = [path("admin/", site.urls), path("", include("dashboard.urls"))]
