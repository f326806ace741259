"""Commands that need a migrated database say so, before a query fails with a trace."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


class MigratedCommand(BaseCommand):
    """A command of the Partner API that reads or writes its tables."""

    def execute(self, *args: Any, **options: Any) -> str | None:  # noqa: ANN401 - Django's signature
        """Run the command. Raises: CommandError if migrations are missing."""
        executor = MigrationExecutor(connection)
        targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "partner_api"]
        if executor.migration_plan(targets):
            raise CommandError(
                "The Partner API's database is not up to date. Start the Partner API once ('make partner-api'), "
                "or run the command migrate."
            )
        return super().execute(*args, **options)
