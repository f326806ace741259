"""The whole URL map on one page."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from dashboard.views import (
    activity,
    alert_channels,
    alerts,
    bare_errors,
    deliveries,
    delivery_export,
    delivery_lists,
    delivery_runs,
    demo,
    doctor,
    endpoint_changes,
    endpoints,
    fleet,
    inbox,
    installs,
    observation_keys,
    observations,
    operating,
    operations,
    over_time,
    receiver,
    rotations,
    runs,
    search,
)

Patterns = list[URLPattern | URLResolver]

console: Patterns = [
    path("", inbox.index, name="home"),
    path("inbox/live/", inbox.live, name="inbox-live"),
    path("installs/", fleet.index, name="install-list"),
    path("installs/live/", fleet.live, name="install-list-live"),
    path("installs/connect/", installs.connect, name="install-connect"),
    path("installs/<int:pk>/", installs.detail, name="install-detail"),
    path("installs/<int:pk>/live/", installs.live, name="install-live"),
    path("installs/<int:install_pk>/endpoints/new/", endpoints.create, name="endpoint-create"),
    path("endpoints/<int:pk>/", endpoints.detail, name="endpoint-detail"),
    path("endpoints/<int:pk>/live/", endpoints.live, name="endpoint-live"),
    path("endpoints/<int:pk>/over-time/", over_time.over_time, name="endpoint-over-time"),
    path("endpoints/<int:pk>/enable/", endpoints.enable, name="endpoint-enable"),
    path("endpoints/<int:pk>/redeliver/", endpoints.redeliver, name="endpoint-redeliver"),
    path("endpoints/<int:pk>/doctor/", doctor.examine, name="endpoint-doctor"),
    path("endpoints/<int:pk>/recover/", runs.recover, name="endpoint-recover"),
    path("endpoints/<int:pk>/edit/", endpoint_changes.edit, name="endpoint-edit"),
    path("endpoints/<int:pk>/pause/", endpoint_changes.pause, name="endpoint-pause"),
    path("endpoints/<int:pk>/delete/", endpoint_changes.delete, name="endpoint-delete"),
    path("endpoints/<int:pk>/observation-key/", observation_keys.issue, name="observation-key"),
    path("endpoints/<int:pk>/observation-key/revoke/", observation_keys.revoke, name="observation-key-revoke"),
    path("endpoints/<int:pk>/rotate/", rotations.detail, name="rotation-detail"),
    path("endpoints/<int:pk>/rotate/live/", rotations.live, name="rotation-live"),
    path("endpoints/<int:pk>/rotate/start/", rotations.start, name="rotation-start"),
    path("endpoints/<int:pk>/rotate/continue/", rotations.go_on, name="rotation-continue"),
    path("endpoints/<int:pk>/rotate/finish/", rotations.finish, name="rotation-finish"),
    path("endpoints/<int:pk>/rotate/abort/", rotations.abort, name="rotation-abort"),
    path("endpoints/<int:pk>/demo-handler/", demo.set_handler, name="demo-handler"),
    path("installs/<int:pk>/deliveries/", delivery_lists.install, name="install-deliveries"),
    path("installs/<int:pk>/deliveries/live/", delivery_lists.install_live, name="install-deliveries-live"),
    path("installs/<int:pk>/deliveries/export/", delivery_export.install, name="install-deliveries-export"),
    path("installs/<int:pk>/deliveries/redeliver/", delivery_runs.install, name="install-deliveries-redeliver"),
    path("endpoints/<int:pk>/deliveries/", delivery_lists.endpoint, name="endpoint-deliveries"),
    path("endpoints/<int:pk>/deliveries/live/", delivery_lists.endpoint_live, name="endpoint-deliveries-live"),
    path("endpoints/<int:pk>/deliveries/export/", delivery_export.endpoint, name="endpoint-deliveries-export"),
    path("endpoints/<int:pk>/deliveries/redeliver/", delivery_runs.endpoint, name="endpoint-deliveries-redeliver"),
    path("deliveries/", delivery_lists.index, name="delivery-list"),
    path("deliveries/live/", delivery_lists.index_live, name="delivery-list-live"),
    path("deliveries/export/", delivery_export.index, name="delivery-list-export"),
    path("deliveries/redeliver/", delivery_runs.index, name="delivery-list-redeliver"),
    path("deliveries/<int:pk>/", deliveries.detail, name="delivery-detail"),
    path("deliveries/<int:pk>/live/", deliveries.live, name="delivery-live"),
    path("deliveries/<int:pk>/attempts/", deliveries.attempts, name="delivery-attempts"),
    path("deliveries/<int:pk>/attempts/live/", deliveries.attempts_live, name="delivery-attempts-live"),
    path("deliveries/<int:pk>/redeliver/", deliveries.redeliver, name="delivery-redeliver"),
    path("runs/", runs.index, name="run-list"),
    path("runs/live/", runs.index_live, name="run-list-live"),
    path("runs/<int:pk>/", runs.detail, name="run-detail"),
    path("runs/<int:pk>/live/", runs.live, name="run-live"),
    path("runs/<int:pk>/<slug:command>/", runs.command, name="run-command"),
    path("search/", search.index, name="search"),
    path("search/results/", search.results, name="search-results"),
    path("help/keys/", search.shortcuts, name="help-keys"),
    path("alerts/", alerts.index, name="alert-list"),
    path("alerts/live/", alerts.live, name="alert-list-live"),
    path("alerts/channels/", alert_channels.index, name="alert-channel-list"),
    path("alerts/channels/new/", alert_channels.create, name="alert-channel-create"),
    path("alerts/channels/<int:pk>/", alert_channels.edit, name="alert-channel-edit"),
    path("alerts/channels/<int:pk>/delete/", alert_channels.delete, name="alert-channel-delete"),
    path("alerts/channels/<int:pk>/test/", alert_channels.test, name="alert-channel-test"),
    path("activity/", activity.index, name="activity"),
    path("activity/live/", activity.live, name="activity-live"),
    path("activity/export/", activity.export, name="activity-export"),
    path("activity/<int:pk>/", activity.detail, name="activity-detail"),
    path("operations/<uuid:operation>/progress/", operations.progress, name="operation-progress"),
    path("accounts/", include("allauth.urls")),
]
doors: Patterns = [
    path("api/v1/observations", observations.receive, name="observations"),
    path("hooks/<str:key>/", receiver.receive, name="receiver"),
]
probes: Patterns = [
    path("healthz", operating.healthz, name="healthz"),
    path("readyz", operating.readyz, name="readyz"),
    path("metrics", operating.show_metrics, name="metrics"),
]
SERVED: dict[str, Patterns] = {
    "all": [*console, *doors, *probes],
    "console": [*console, *probes],
    "receiver": [*doors, *probes],
}
urlpatterns: Patterns = SERVED[settings.SERVE]

if settings.SERVE == "receiver":
    handler400 = bare_errors.bad_request
    handler403 = bare_errors.permission_denied
    handler404 = bare_errors.not_found
    handler500 = bare_errors.failed
