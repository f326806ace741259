"""The table of Django's database cache, which counts sign-in attempts across all processes.

Django reads and writes it directly (`CACHES` in the settings). As a model it is created by the migrations, without a
separate `createcachetable`.
"""

from django.db import models


class CacheEntry(models.Model):
    """A cached value with its expiry. Its loss does no harm."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.cache_key
