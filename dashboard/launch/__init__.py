"""Starting Redeliver on one machine: database, keys, processes. Independent of Django's settings."""
