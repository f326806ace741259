"""Django's database cache works with the table that the migrations create."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from dashboard.models import CacheEntry

pytestmark = pytest.mark.django_db


def test_cache_of_the_settings_reads_and_writes_this_table() -> None:
    cache.set("tries", 3, timeout=60)
    [entry] = CacheEntry.objects.all()
    assert "tries" in str(entry)
    assert timedelta(0) < entry.expires - timezone.now() <= timedelta(seconds=61)
    entry.delete()
    assert cache.get("tries") is None


def test_cache_forgets_what_has_expired() -> None:
    cache.set("tries", 3, timeout=60)
    CacheEntry.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert cache.get("tries") is None
