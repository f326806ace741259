"""Bring Redeliver up on one machine: its database, its keys, its processes. Knows nothing of Django's settings."""
