"""The Partner API's URLs: the operations, the sender's view, probes, and an error envelope for every other path."""

from django.apps import apps
from django.contrib import admin
from django.urls import URLPattern, include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from dashboard.partner_api import errors, probes
from dashboard.partner_api.api import api

_patterns, _app, _namespace = api.urls
_operations = [pattern for pattern in _patterns if isinstance(pattern, URLPattern) and pattern.name != "api-root"]
for _operation in _operations:
    _operation.callback = errors.enveloped(_operation.callback)

urlpatterns = [
    path("api/partner/v1/", include((_operations, _app), namespace=_namespace)),
    # The console's settings, which tests use, have no admin.
    *([path("admin/", admin.site.urls)] if apps.is_installed("django.contrib.admin") else []),
    path("healthz", probes.healthz),
    path("readyz", probes.readyz),
    re_path(r"", csrf_exempt(errors.not_found)),
]

handler400 = "dashboard.partner_api.errors.bad_request"
handler404 = "dashboard.partner_api.errors.not_found"
handler500 = "dashboard.partner_api.errors.server_error"
