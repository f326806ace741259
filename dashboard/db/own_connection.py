"""A thread's own database connection, outside of the pool.

The pool waits longer and longer between two attempts to connect, up to minutes, and checks a connection by a statement
that a stopped server never answers. A thread whose only work is to write must know earlier.
"""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

NOTICED: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""With these, a database host that vanished is noticed within seconds. The kernel's own limits are over ten minutes."""


def use_own_connection() -> None:
    """Let `django.db.connection` of this thread be a connection of its own. It opens with the first statement."""
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    options = {name: value for name, value in own.settings_dict["OPTIONS"].items() if name != "pool"}
    own.settings_dict = {**own.settings_dict, "OPTIONS": NOTICED | options}
    connections[DEFAULT_DB_ALIAS] = own
