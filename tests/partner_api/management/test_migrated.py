"""Commands on a database without the Partner API's tables."""

import pytest
from django.core.management import CommandError
from django.db.migrations.executor import MigrationExecutor

from tests.partner_api.test_tasks import command


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("create_install", "--organization"),
        ("deliveries", "--install"),
        ("emit", "--install"),
        ("end", "--contract"),
    ],
)
def test_command_on_a_database_without_tables_says_what_to_do(
    name: str, argument: str, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["0001_initial"])
    with pytest.raises(CommandError, match=r"is not up to date\. Start the Partner API once"):
        command(name, argument, "x")
