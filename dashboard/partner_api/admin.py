"""The sender's view of deliveries in the Django admin: read-only, without secrets and tokens.

It is not an API operation, because the contract has none that lists deliveries.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from dashboard.partner_api.models import Attempt, Delivery, Endpoint


class _ReadOnly:
    """Disables adding, changing and deleting: the admin shows what the engine wrote, unchanged."""

    def has_add_permission(self, request: HttpRequest, *objects: Any) -> bool:  # noqa: ANN401, ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, *objects: Any) -> bool:  # noqa: ANN401, ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, *objects: Any) -> bool:  # noqa: ANN401, ARG002
        return False


class AttemptInline(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Attempt
    ordering = ("number",)
    fields = ("number", "started_at", "duration_ms", "status_code", "cause", "detail", "answer")
    readonly_fields = fields

    @admin.display(description="Response head")
    def answer(self, attempt: Attempt) -> str:
        """Return the receiver's response as text. The template escapes it."""
        return bytes(attempt.response_head).decode(errors="replace") or "-"


@admin.register(Delivery)
class DeliveryAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    inlines = [AttemptInline]
    list_display = ("id", "kind", "endpoint_id", "status", "attempts", "next_attempt_at", "created_at")
    list_filter = ("status",)
    search_fields = ("=id", "=endpoint__id", "=endpoint__install__id")
    search_help_text = "The ID of a delivery, an endpoint or an install"
    list_select_related = ("event",)
    ordering = ("-event_id",)
    show_full_result_count = False
    fields = (
        "id",
        "event",
        "kind",
        "endpoint",
        "status",
        "round",
        "tries",
        "attempts",
        "next_attempt_at",
        "created_at",
    )

    @admin.display(description="Event type")
    def kind(self, delivery: Delivery) -> str:
        return delivery.event.type


@admin.register(Endpoint)
class EndpointAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "url", "install_id", "status", "consecutive_failures", "disabled_at")
    list_filter = ("status",)
    search_fields = ("=id", "=install__id")
    ordering = ("-created_at",)
    exclude = ("secret_sealed",)
