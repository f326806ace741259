"""The Partner API as a Django app. Its label separates its tables from the console's."""

from django.apps import AppConfig


class PartnerApiConfig(AppConfig):
    name = "dashboard.partner_api"
    label = "partner_api"
    verbose_name = "Partner API"
    default_auto_field = "django.db.models.BigAutoField"
