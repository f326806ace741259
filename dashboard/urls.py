"""The whole URL map on one page."""

from django.urls import URLPattern, URLResolver, include, path

from dashboard.views import (
    deliveries,
    delivery_export,
    delivery_lists,
    demo,
    doctor,
    endpoints,
    installs,
    observations,
    operations,
    receiver,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", installs.index, name="home"),
    path("installs/", installs.index, name="install-list"),
    path("installs/live/", installs.index_live, name="install-list-live"),
    path("installs/connect/", installs.connect, name="install-connect"),
    path("installs/<int:pk>/", installs.detail, name="install-detail"),
    path("installs/<int:pk>/live/", installs.live, name="install-live"),
    path("installs/<int:install_pk>/endpoints/new/", endpoints.create, name="endpoint-create"),
    path("endpoints/<int:pk>/", endpoints.detail, name="endpoint-detail"),
    path("endpoints/<int:pk>/live/", endpoints.live, name="endpoint-live"),
    path("endpoints/<int:pk>/enable/", endpoints.enable, name="endpoint-enable"),
    path("endpoints/<int:pk>/redeliver/", endpoints.redeliver, name="endpoint-redeliver"),
    path("endpoints/<int:pk>/doctor/", doctor.examine, name="endpoint-doctor"),
    path("endpoints/<int:pk>/demo-handler/", demo.set_handler, name="demo-handler"),
    path("installs/<int:pk>/deliveries/", delivery_lists.install, name="install-deliveries"),
    path("installs/<int:pk>/deliveries/live/", delivery_lists.install_live, name="install-deliveries-live"),
    path("installs/<int:pk>/deliveries/export/", delivery_export.install, name="install-deliveries-export"),
    path("endpoints/<int:pk>/deliveries/", delivery_lists.endpoint, name="endpoint-deliveries"),
    path("endpoints/<int:pk>/deliveries/live/", delivery_lists.endpoint_live, name="endpoint-deliveries-live"),
    path("endpoints/<int:pk>/deliveries/export/", delivery_export.endpoint, name="endpoint-deliveries-export"),
    path("deliveries/", delivery_lists.index, name="delivery-list"),
    path("deliveries/live/", delivery_lists.index_live, name="delivery-list-live"),
    path("deliveries/export/", delivery_export.index, name="delivery-list-export"),
    path("deliveries/<int:pk>/", deliveries.detail, name="delivery-detail"),
    path("deliveries/<int:pk>/live/", deliveries.live, name="delivery-live"),
    path("deliveries/<int:pk>/redeliver/", deliveries.redeliver, name="delivery-redeliver"),
    path("operations/<uuid:operation>/progress/", operations.progress, name="operation-progress"),
    path("accounts/", include("allauth.urls")),
    path("api/v1/observations", observations.receive, name="observations"),
    path("hooks/<str:key>/", receiver.receive, name="receiver"),
]
