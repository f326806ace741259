"""The operations that buttons stand for."""

import uuid

from django.utils.crypto import salted_hmac


def operation_id(*, user_id: int, action: str, subject: str, last_answer: int) -> uuid.UUID:
    """Name the operation that a button stands for.

    The name stays the same until an answer is in (`last_answer` is the audit row of the newest one), in every tab
    and however often the page is redrawn: that is why a second click is not a second call. Keyed, so that nobody can
    work out the name of somebody else's.
    """
    digest = salted_hmac("operation", f"{user_id}/{action}/{subject}/{last_answer}", algorithm="sha256").digest()
    return uuid.UUID(bytes=digest[:16], version=4)
