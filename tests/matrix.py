"""Permission matrix: the expected answer of every URL to every role. tests/test_matrix.py checks the real ones.

A new URL needs a line for each method that it accepts (GET covers HEAD); every other method must be answered with 405.
Optional features that are off in the first table, and so hidden from everyone, are on in the second, SET_UP.
django-allauth's pages decide which methods they accept: their single line, ANY, covers each of those.
A cell: `ok` is let in (2xx, 3xx, or a form returned with its errors: 400, 422); `in` is redirected to sign-in; a number
is that exact status. The object that a URL names belongs to Acme Labs: its install, an endpoint of it, and so on.

The people: an anonymous visitor; a user without a role; a viewer and a partner admin of Acme Labs, and one of each of
another install; support; a support lead.
"""

from dataclasses import dataclass

PEOPLE = ("stranger", "no role", "viewer", "other viewer", "partner admin", "outsider", "support", "support lead")
TABLE = """
# address                               method stranger, no role, viewer, another, admin, outsider, support, lead
home                                    GET    in 403  ok  ok  ok  ok  ok  ok
inbox-live                              GET    in 403  ok  ok  ok  ok  ok  ok
inbox-count-live                        GET    in 403  ok  ok  ok  ok  ok  ok
install-names                           GET    in 403  ok  ok  ok  ok  ok  ok
install-list                            GET    in 403  ok  ok  ok  ok  ok  ok
install-list-live                       GET    in 403  ok  ok  ok  ok  ok  ok
install-connect                         GET    in 403 403 403  ok  ok  ok  ok
install-connect                         POST   in 403 403 403  ok  ok  ok  ok
install-detail                          GET    in 403  ok 404  ok 404  ok  ok
install-rename                          GET    in 403 403 404  ok 404  ok  ok
install-rename                          POST   in 403 403 404  ok 404  ok  ok
install-disconnect                      GET    in 403 403 404  ok 404  ok  ok
install-disconnect                      POST   in 403 403 404  ok 404  ok  ok
install-live                            GET    in 403  ok 404  ok 404  ok  ok
endpoint-create                         GET    in 403 403 404  ok 404  ok  ok
endpoint-create                         POST   in 403 403 404  ok 404  ok  ok
install-route                           GET    in 403 403 404  ok 404  ok  ok
install-route                           POST   in 403 403 404  ok 404  ok  ok
endpoint-detail                         GET    in 403  ok 404  ok 404  ok  ok
endpoint-live                           GET    in 403  ok 404  ok 404  ok  ok
endpoint-over-time                      GET    in 403  ok 404  ok 404  ok  ok
endpoint-report                         GET    in 403  ok 404  ok 404  ok  ok
endpoint-enable                         POST   in 403 403 404  ok 404  ok  ok
endpoint-redeliver                      POST   in 403 403 404  ok 404  ok  ok
endpoint-redeliver-anyway               GET    in 403 403 404  ok 404  ok  ok
endpoint-doctor                         GET    in 403  ok 404  ok 404  ok  ok
endpoint-doctor                         POST   in 403  ok 404  ok 404  ok  ok
endpoint-recover                        GET    in 403 403 404  ok 404  ok  ok
endpoint-recover                        POST   in 403 403 404  ok 404  ok  ok
endpoint-rename                         GET    in 403 403 404  ok 404  ok  ok
endpoint-rename                         POST   in 403 403 404  ok 404  ok  ok
endpoint-window-check                   GET    in 403 403 404  ok 404  ok  ok
endpoint-window-check                   POST   in 403 403 404  ok 404  ok  ok
endpoint-window-show-again              POST   in 403 403 404  ok 404  ok  ok
endpoint-edit                           GET    in 403 403 404  ok 404  ok  ok
endpoint-edit                           POST   in 403 403 404  ok 404  ok  ok
endpoint-pause                          GET    in 403 403 404  ok 404  ok  ok
endpoint-pause                          POST   in 403 403 404  ok 404  ok  ok
endpoint-point-back                     GET    in 403 403 404  ok 404  ok  ok
endpoint-point-back                     POST   in 403 403 404  ok 404  ok  ok
endpoint-keep-url                       POST   in 403 403 404  ok 404  ok  ok
endpoint-route                          GET    in 403 403 404  ok 404  ok  ok
endpoint-route                          POST   in 403 403 404  ok 404  ok  ok
endpoint-bypass                         GET    in 403 403 404  ok 404  ok  ok
endpoint-bypass                         POST   in 403 403 404  ok 404  ok  ok
endpoint-route-check                    GET    in 403 403 404  ok 404  ok  ok
endpoint-secret                         GET    in 403 403 404  ok 404  ok  ok
endpoint-secret                         POST   in 403 403 404  ok 404  ok  ok
endpoint-delete                         GET    in 403 403 404  ok 404  ok  ok
endpoint-delete                         POST   in 403 403 404  ok 404  ok  ok
observation-key                         GET    in 403 403 404  ok 404  ok  ok
observation-key                         POST   in 403 403 404  ok 404  ok  ok
observation-key-revoke                  POST   in 403 403 404  ok 404  ok  ok
rotation-detail                         GET    in 403 403 404  ok 404  ok  ok
rotation-live                           GET    in 403 403 404  ok 404  ok  ok
rotation-start                          POST   in 403 403 404  ok 404  ok  ok
rotation-continue                       POST   in 403 403 404  ok 404  ok  ok
rotation-finish                         POST   in 403 403 404  ok 404  ok  ok
rotation-abort                          POST   in 403 403 404  ok 404  ok  ok
demo-handler                            POST   in 403 403 404 404 404 404 404
install-deliveries                      GET    in 403  ok 404  ok 404  ok  ok
install-deliveries-live                 GET    in 403  ok 404  ok 404  ok  ok
install-deliveries-export               GET    in 403  ok 404  ok 404  ok  ok
install-deliveries-redeliver            GET    in 403 403 404  ok 404  ok  ok
install-deliveries-redeliver            POST   in 403 403 404  ok 404  ok  ok
install-deliveries-redeliverable-live   GET    in 403 403 404  ok 404  ok  ok
endpoint-deliveries                     GET    in 403  ok 404  ok 404  ok  ok
endpoint-deliveries-live                GET    in 403  ok 404  ok 404  ok  ok
endpoint-deliveries-export              GET    in 403  ok 404  ok 404  ok  ok
endpoint-deliveries-redeliver           GET    in 403 403 404  ok 404  ok  ok
endpoint-deliveries-redeliver           POST   in 403 403 404  ok 404  ok  ok
endpoint-deliveries-redeliverable-live  GET    in 403 403 404  ok 404  ok  ok
handover-all                            GET    in 403 403 404  ok 404  ok  ok
handover-all                            POST   in 403 403 404  ok 404  ok  ok
handover-all-live                       GET    in 403 403 404  ok 404  ok  ok
handover-allow                          GET    in 403 403 404  ok 404 403 403
handover-allow                          POST   in 403 403 404  ok 404 403 403
handover-stop                           GET    in 403 403 404  ok 404  ok  ok
handover-stop                           POST   in 403 403 404  ok 404  ok  ok
handover-preview                        GET    in 403  ok 404  ok 404  ok  ok
handover-participants                   POST   in 403 403 404  ok 404  ok  ok
handover-send                           POST   in 403 403 404  ok 404  ok  ok
handover-detail                         GET    in 403  ok 404  ok 404  ok  ok
handover-live                           GET    in 403  ok 404  ok 404  ok  ok
handover-outcome-live                   GET    in 403  ok 404  ok 404  ok  ok
delivery-list                           GET    in 403  ok  ok  ok  ok  ok  ok
delivery-list-live                      GET    in 403  ok  ok  ok  ok  ok  ok
delivery-list-export                    GET    in 403  ok  ok  ok  ok  ok  ok
delivery-list-redeliver                 GET    in 403 403 403  ok  ok  ok  ok
delivery-list-redeliver                 POST   in 403 403 403  ok  ok  ok  ok
delivery-list-redeliverable-live        GET    in 403 403 403  ok  ok  ok  ok
delivery-detail                         GET    in 403  ok 404  ok 404  ok  ok
delivery-live                           GET    in 403  ok 404  ok 404  ok  ok
delivery-report                         GET    in 403  ok 404  ok 404  ok  ok
delivery-attempts                       GET    in 403  ok 404  ok 404  ok  ok
delivery-attempts-live                  GET    in 403  ok 404  ok 404  ok  ok
delivery-redeliver                      POST   in 403 403 404  ok 404  ok  ok
delivery-redeliver-anyway               GET    in 403 403 404  ok 404  ok  ok
install-contracts                       GET    in 403  ok 404  ok 404  ok  ok
install-contracts-live                  GET    in 403  ok 404  ok 404  ok  ok
install-contracts-export                GET    in 403  ok 404  ok 404  ok  ok
contract-detail                         GET    in 403  ok 404  ok 404  ok  ok
contract-budget                         POST   in 403 403 404  ok 404  ok  ok
contract-live                           GET    in 403  ok 404  ok 404  ok  ok
why                                     GET    in 403  ok  ok  ok  ok  ok  ok
run-list                                GET    in 403  ok  ok  ok  ok  ok  ok
run-list-live                           GET    in 403  ok  ok  ok  ok  ok  ok
run-detail                              GET    in 403  ok 404  ok 404  ok  ok
run-live                                GET    in 403  ok 404  ok 404  ok  ok
run-report                              GET    in 403  ok 404  ok 404  ok  ok
run-export                              GET    in 403  ok 404  ok 404  ok  ok
run-command                             POST   in 403 403 404  ok 404  ok  ok
search                                  GET    in 403  ok  ok  ok  ok  ok  ok
search-results                          GET    in 403  ok  ok  ok  ok  ok  ok
help-keys                               GET    in 403  ok  ok  ok  ok  ok  ok
alert-list                              GET    in 403  ok  ok  ok  ok  ok  ok
alert-list-live                         GET    in 403  ok  ok  ok  ok  ok  ok
alert-channel-list                      GET    in 403  ok  ok  ok  ok  ok  ok
alert-channel-create                    GET    in 403 403 403  ok  ok  ok  ok
alert-channel-create                    POST   in 403 403 403  ok  ok  ok  ok
alert-channel-edit                      GET    in 403 403 404  ok 404  ok  ok
alert-channel-edit                      POST   in 403 403 404  ok 404  ok  ok
alert-channel-delete                    GET    in 403 403 404  ok 404  ok  ok
alert-channel-delete                    POST   in 403 403 404  ok 404  ok  ok
alert-channel-test                      POST   in 403 403 404  ok 404  ok  ok
operation-progress                      GET    in 403  ok 404  ok 404  ok  ok
member-list                             GET    in 403 403 403 403 403 403  ok
member-invite                           GET    in 403 403 403 403 403 403  ok
member-invite                           POST   in 403 403 403 403 403 403  ok
member-detail                           GET    in 403 404 404 404 404 404  ok
member-installs                         GET    in 403 404 404 404 404 404  ok
member-role                             GET    in 403 404 404 404 404 404  ok
member-role                             POST   in 403 404 404 404 404 404  ok
member-deactivate                       GET    in 403 404 404 404 404 404  ok
member-deactivate                       POST   in 403 404 404 404 404 404  ok
member-reactivate                       POST   in 403 404 404 404 404 404  ok
member-forget-factors                   GET    in 403 404 404 404 404 404  ok
member-forget-factors                   POST   in 403 404 404 404 404 404  ok
member-link                             POST   in 403 404 404 404 404 404  ok
member-grant                            POST   in 403 404 404 404 404 404  ok
member-revoke                           GET    in 403 404 404 404 404 404  ok
member-revoke                           POST   in 403 404 404 404 404 404  ok
activity                                GET    in 403  ok  ok  ok  ok  ok  ok
activity-live                           GET    in 403  ok  ok  ok  ok  ok  ok
activity-export                         GET    in 403  ok  ok  ok  ok  ok  ok
activity-detail                         GET    in 403  ok 404  ok 404  ok  ok
# One's own account (django-allauth): no role matters, only that one is signed in. What is 404 is not theirs.
account_change_password                 ANY    in  ok  ok  ok  ok  ok  ok  ok
account_logout                          POST   in  in  in  in  in  in  in  in
account_logout                          ANY    in  ok  ok  ok  ok  ok  ok  ok
account_reauthenticate                  ANY    in  ok  ok  ok  ok  ok  ok  ok
account_set_password                    ANY    in  ok  ok  ok  ok  ok  ok  ok
account                                 ANY    in  ok  ok  ok  ok  ok  ok  ok
account-time-zone                       POST   in  ok  ok  ok  ok  ok  ok  ok
mfa_index                               ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_authenticate                        ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_reauthenticate                      ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_activate_totp                       ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_deactivate_totp                     ANY    in 404 404 404 404 404 404 404
mfa_view_recovery_codes                 ANY    in 404 404 404 404 404 404 404
mfa_generate_recovery_codes             ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_list_webauthn                       ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_add_webauthn                        ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_login_webauthn                      ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_reauthenticate_webauthn             ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_edit_webauthn                       ANY    in  ok  ok  ok  ok  ok  ok  ok
mfa_remove_webauthn                     ANY    in  ok  ok  ok  ok  ok  ok  ok
session-list                            ANY    in  ok  ok  ok  ok  ok  ok  ok
session-end-others                      ANY    in  ok  ok  ok  ok  ok  ok  ok
session-end                             ANY    in 404 404 404 404 404 404 404
# OpenID Connect, which is not set up here.
openid_connect_login                    ANY   404 404 404 404 404 404 404 404
openid_connect_callback                 ANY   404 404 404 404 404 404 404 404
socialaccount_connections               ANY   404 404 404 404 404 404 404 404
socialaccount_login_cancelled           ANY   404 404 404 404 404 404 404 404
# Open to strangers: sign-in, and what belongs to it.
account_login                           ANY    ok  ok  ok  ok  ok  ok  ok  ok
account_inactive                        ANY    ok  ok  ok  ok  ok  ok  ok  ok
set-password                            GET    ok  ok  ok  ok  ok  ok  ok  ok
set-password                            POST   ok  ok  ok  ok  ok  ok  ok  ok
# Machines, which show a signature or a key, and probes: here without either, and no worker runs.
healthz                                 GET    ok  ok  ok  ok  ok  ok  ok  ok
readyz                                  GET   503 503 503 503 503 503 503 503
metrics                                 GET   404 404 404 404 404 404 404 404
"""
SET_UP = """
# What is 404 above because it is not there: here it is set up, and what was asked for is there, or one's own.
# address                               method stranger, no role, viewer, another, admin, outsider, support, lead
demo-handler                            POST   in 403 403 404  ok 404  ok  ok
# The provider does not answer: who may begin is told so (502), and what nobody asked for is no way in.
openid_connect_login                    POST  502 502 502 502 502 502 502 502
openid_connect_callback                 GET   401 401 401 401 401 401 401 401
socialaccount_connections               GET    in  ok  ok  ok  ok  ok  ok  ok
socialaccount_login_cancelled           GET    ok  ok  ok  ok  ok  ok  ok  ok
# One's own session, and an authenticator app with its codes.
session-end                             POST   in  ok  ok  ok  ok  ok  ok  ok
mfa_deactivate_totp                     GET    in  ok  ok  ok  ok  ok  ok  ok
mfa_view_recovery_codes                 GET    in  ok  ok  ok  ok  ok  ok  ok
# A signed delivery, an endpoint's key, and Prometheus' token: who is signed in does not matter.
metrics                                 GET    ok  ok  ok  ok  ok  ok  ok  ok
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the name of a URL, a method, and the cell of each of PEOPLE."""

    name: str
    method: str
    cells: dict[str, str]


def rows(table: str = TABLE) -> list[Row]:
    lines = [line.split() for line in table.splitlines() if line and not line.startswith("#")]
    return [Row(name, method, dict(zip(PEOPLE, cells, strict=True))) for name, method, *cells in lines]
