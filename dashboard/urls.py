"""The whole URL map on one page."""

from django.urls import URLPattern, URLResolver, include, path

from dashboard.views import deliveries, demo, doctor, endpoints, installs, operations, receiver

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
    path("deliveries/<int:pk>/", deliveries.detail, name="delivery-detail"),
    path("deliveries/<int:pk>/live/", deliveries.live, name="delivery-live"),
    path("deliveries/<int:pk>/redeliver/", deliveries.redeliver, name="delivery-redeliver"),
    path("operations/<uuid:operation>/progress/", operations.progress, name="operation-progress"),
    path("accounts/", include("allauth.urls")),
    path("hooks/<str:key>/", receiver.receive, name="receiver"),
]
