"""IDs of the operations behind buttons."""

import uuid

from django.utils.crypto import salted_hmac


def operation_id(*, user_id: int, action: str, subject: str, last_answer: int) -> uuid.UUID:
    """Return the ID of a button's operation.

    The ID stays the same, in every tab and after every redraw, until OpenTrain has answered (`last_answer` is the audit
    row of the newest answer): a second click is therefore not a second call. Keyed, so that people cannot compute the
    IDs of others.
    """
    digest = salted_hmac("operation", f"{user_id}/{action}/{subject}/{last_answer}", algorithm="sha256").digest()
    return uuid.UUID(bytes=digest[:16], version=4)
