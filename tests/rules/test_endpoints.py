"""The health of an endpoint in words; the rule is also written in SQL, and both are compared on real rows."""

import pytest

from dashboard.rules import endpoints
from dashboard.rules.endpoints import HealthKind
from tests.factories import make_endpoint


@pytest.mark.parametrize(
    ("status", "failures", "kind", "label", "words"),
    [
        ("ACTIVE", 0, HealthKind.ACTIVE, "Active", "No consecutive failures."),
        ("ACTIVE", 1, HealthKind.FAILING, "Failing", "1 of 10 consecutive failures."),
        ("ACTIVE", 6, HealthKind.FAILING, "Failing", "6 of 10 consecutive failures."),
        (
            "ACTIVE",
            7,
            HealthKind.AT_RISK,
            "At risk",
            "7 of 10 consecutive failures: OpenTrain disables it after 3 more.",
        ),
        (
            "ACTIVE",
            12,
            HealthKind.AT_RISK,
            "At risk",
            "12 consecutive failures: OpenTrain disables an endpoint after 10.",
        ),
        (
            "DISABLED",
            10,
            HealthKind.DISABLED,
            "Disabled",
            "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped until it is re-enabled.",
        ),
        (
            "DISABLED",
            9,
            HealthKind.PAUSED,
            "Paused",
            "Paused manually, so deliveries are stopped until it is re-enabled.",
        ),
        ("DRAINING", 10, HealthKind.UNKNOWN, "DRAINING", "OpenTrain reports a status that Redeliver does not know."),
        ("", 0, HealthKind.UNKNOWN, "Unknown", "No status from OpenTrain."),
    ],
)
def test_endpoint_health_is_named_by_status_and_streak(status, failures, kind, label, words) -> None:
    assert endpoints.endpoint_health(status=status, consecutive_failures=failures) == endpoints.EndpointHealth(
        kind, label, words
    )


@pytest.mark.parametrize(
    ("counted", "reached", "words"),
    [
        (8, 2, "OpenTrain counts 8 failures, 2 reached Redeliver: 6 missing."),
        (1, 0, "OpenTrain counts 1 failure, none reached Redeliver: 1 missing."),
        (8, 8, ""),
        (0, 3, ""),
    ],
)
def test_failures_that_never_reached_us_are_said_and_nothing_else(counted, reached, words) -> None:
    assert endpoints.unseen_words(counted=counted, reached=reached) == words


def test_failures_that_its_handler_did_not_report_are_not_said_to_have_gone_astray() -> None:
    words = endpoints.unseen_words(counted=8, reached=2, reported=True)
    assert words == "OpenTrain counts 8 failures, the handler reported 2: 6 missing."


def test_failures_from_before_it_was_routed_are_not_said_to_be_missing() -> None:
    words = endpoints.unseen_words(counted=8, reached=2, routed=True)
    assert words == (
        "OpenTrain counts 8 failures, 2 reached Redeliver: 6 missing or from before it was routed through Redeliver."
    )


@pytest.mark.django_db
def test_severity_and_its_column_agree_on_every_combination() -> None:
    install = make_endpoint().install
    for status in ("ACTIVE", "DISABLED", "", "MAINTENANCE", "active"):
        for failures in (0, 1, 6, 7, 9, 10, 11, 400):
            endpoint = make_endpoint(install=install, status=status, consecutive_failures=failures)
            stored = type(endpoint).objects.values_list("severity", flat=True).get(pk=endpoint.pk)
            assert stored == endpoints.severity(status=status, consecutive_failures=failures), (status, failures)


def test_every_kind_of_health_has_its_place_in_the_order_of_lists() -> None:
    assert {kind.name for kind in HealthKind} == set(endpoints.Severity.__members__)
