"""The whole URL map on one page."""

from allauth.account import views as account_views
from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path
from django.views import defaults
from django.views.decorators.cache import never_cache

from dashboard.views import (
    accounts,
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
    inbox,
    install_list,
    installs,
    members,
    observation_keys,
    oidc,
    operations,
    over_time,
    probes,
    rotations,
    routes,
    runs,
    search,
    sessions,
    set_password,
)

Patterns = list[URLPattern | URLResolver]

# What is not here of allauth's is shut: signing up, addresses, codes and passwords by mail. They keep allauth's names.
account: Patterns = [
    path("", accounts.index, name="account"),
    path("login/", account_views.login, name="account_login"),
    path("logout/", account_views.logout, name="account_logout"),
    path("inactive/", account_views.account_inactive, name="account_inactive"),
    path("reauthenticate/", account_views.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account_views.password_change, name="account_change_password"),
    path("password/set/", accounts.has_no_password, name="account_set_password"),
    path("2fa/", accounts.to_index, name="mfa_index"),
    path("2fa/authenticate/", mfa_views.authenticate, name="mfa_authenticate"),
    path("2fa/reauthenticate/", mfa_views.reauthenticate, name="mfa_reauthenticate"),
    path("2fa/totp/activate/", never_cache(totp.activate_totp), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", never_cache(recovery_codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("2fa/recovery-codes/generate/", recovery_codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("2fa/webauthn/", passkeys.list_webauthn, name="mfa_list_webauthn"),
    path("2fa/webauthn/add/", passkeys.add_webauthn, name="mfa_add_webauthn"),
    path("2fa/webauthn/login/", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("2fa/webauthn/reauthenticate/", passkeys.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/edit/", passkeys.edit_webauthn, name="mfa_edit_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/remove/", passkeys.remove_webauthn, name="mfa_remove_webauthn"),
    path("set-password/", set_password.set_password, name="set-password"),
    path("sessions/", sessions.index, name="session-list"),
    path("sessions/end/", sessions.end_others, name="session-end-others"),
    path("sessions/<int:pk>/end/", sessions.end, name="session-end"),
    path("oidc/<str:provider_id>/login/", oidc.login, name="openid_connect_login"),
    path("oidc/<str:provider_id>/login/callback/", oidc.callback, name="openid_connect_callback"),
    path("oidc/", oidc.connection, name="socialaccount_connections"),
    path("oidc/cancelled/", oidc.cancelled, name="socialaccount_login_cancelled"),
]
console: Patterns = [
    path("", inbox.index, name="home"),
    path("inbox/live/", inbox.live, name="inbox-live"),
    path("installs/", install_list.index, name="install-list"),
    path("installs/live/", install_list.live, name="install-list-live"),
    path("installs/connect/", installs.connect, name="install-connect"),
    path("installs/<int:pk>/", installs.detail, name="install-detail"),
    path("installs/<int:pk>/live/", installs.live, name="install-live"),
    path("installs/<int:install_pk>/endpoints/new/", endpoints.create, name="endpoint-create"),
    path("installs/<int:install_pk>/route/", routes.install, name="install-route"),
    path("endpoints/<int:pk>/", endpoints.detail, name="endpoint-detail"),
    path("endpoints/<int:pk>/live/", endpoints.live, name="endpoint-live"),
    path("endpoints/<int:pk>/over-time/", over_time.over_time, name="endpoint-over-time"),
    path("endpoints/<int:pk>/enable/", endpoints.enable, name="endpoint-enable"),
    path("endpoints/<int:pk>/redeliver/", endpoints.redeliver, name="endpoint-redeliver"),
    path("endpoints/<int:pk>/doctor/", doctor.examine, name="endpoint-doctor"),
    path("endpoints/<int:pk>/recover/", runs.recover, name="endpoint-recover"),
    path("endpoints/<int:pk>/edit/", endpoint_changes.edit, name="endpoint-edit"),
    path("endpoints/<int:pk>/pause/", endpoint_changes.pause, name="endpoint-pause"),
    path("endpoints/<int:pk>/point-back/", endpoint_changes.point_back, name="endpoint-point-back"),
    path("endpoints/<int:pk>/route/", routes.route, name="endpoint-route"),
    path("endpoints/<int:pk>/route/check/", routes.check, name="endpoint-route-check"),
    path("endpoints/<int:pk>/bypass/", routes.bypass, name="endpoint-bypass"),
    path("endpoints/<int:pk>/secret/", endpoint_changes.signing_secret, name="endpoint-secret"),
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
    path("members/", members.index, name="member-list"),
    path("members/new/", members.invite, name="member-invite"),
    path("members/<int:pk>/", members.detail, name="member-detail"),
    path("members/<int:pk>/installs/", members.installs, name="member-installs"),
    path("members/<int:pk>/role/", members.role, name="member-role"),
    path("members/<int:pk>/deactivate/", members.deactivate, name="member-deactivate"),
    path("members/<int:pk>/reactivate/", members.reactivate, name="member-reactivate"),
    path("members/<int:pk>/second-factors/", members.forget_factors, name="member-forget-factors"),
    path("members/<int:pk>/link/", members.link, name="member-link"),
    path("members/<int:pk>/installs/<int:install_pk>/grant/", members.grant, name="member-grant"),
    path("members/<int:pk>/installs/<int:install_pk>/revoke/", members.revoke, name="member-revoke"),
    path("accounts/", include(account)),
]
checks: Patterns = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.show_metrics, name="metrics"),
]
SERVED: dict[str, Patterns] = {
    "all": [*console, *checks],
    "console": [*console, *checks],
    "receiver": [*checks],
}
urlpatterns: Patterns = SERVED[settings.SERVE]
handler429 = accounts.too_many

if settings.SERVE == "receiver":
    handler400 = bare_errors.bad_request
    handler403 = bare_errors.permission_denied
    handler404 = bare_errors.not_found
    handler500 = bare_errors.failed
else:
    handler400 = bare_errors.or_page(bare_errors.bad_request, defaults.bad_request)
    handler403 = bare_errors.or_page(bare_errors.permission_denied, defaults.permission_denied)
    handler404 = bare_errors.or_page(bare_errors.not_found, defaults.page_not_found)
    handler500 = bare_errors.or_page(bare_errors.failed, defaults.server_error)
