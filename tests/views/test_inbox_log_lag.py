"""Pages that show the log, while receivers hold attempts or do not report."""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, ReceiverReport
from tests.factories import make_delivery
from tests.views.conftest import Browser


def test_pages_of_the_log_say_that_it_lags(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_delivery(endpoint=endpoint)
    pages = [
        reverse("home"),
        reverse("inbox-live"),
        reverse("delivery-list"),
        reverse("endpoint-detail", args=[endpoint.pk]),
        reverse("delivery-detail", args=[delivery.pk]),
        reverse("delivery-live", args=[delivery.pk]),
    ]
    words = "Receiver a holds 7 attempts that are not in the log yet."
    assert not any(words in ana.read(page) for page in pages)
    ReceiverReport.objects.create(name="a", held=7, heard_at=timezone.now())
    assert all(words in ana.read(page) for page in pages)


def test_silent_receiver_is_no_reason_to_say_that_all_is_clear(ana: Browser, endpoint: Endpoint) -> None:
    ReceiverReport.objects.create(name="<b>", held=7, heard_at=timezone.now() - timedelta(minutes=3))
    page = ana.read(reverse("home"))
    assert "Receiver &lt;b&gt;: last heard of 3 min ago. The log may lag, by how much is not known." in page
    assert "<h1>All clear</h1>" not in page
