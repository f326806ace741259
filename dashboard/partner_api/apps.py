from django.apps import AppConfig


class PartnerApiConfig(AppConfig):
    name = "dashboard.partner_api"
    label = "partner_api"
