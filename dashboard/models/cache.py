"""The table of Django's database cache, in which tries to sign in are counted over all processes.

Django reads and writes it by itself (`CACHES` in the settings). As a model it comes with the migrations, where
`createcachetable` would be one more thing to remember.
"""

from django.db import models


class CacheEntry(models.Model):
    """A value until it expires; nothing that would be missed."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.cache_key
