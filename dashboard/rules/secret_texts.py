"""Prefixes of the secrets that people handle, for finding them in logs, searches and forms and for making new ones."""

TOKEN_START = "ot_ptk_"  # noqa: S105 - how every token begins, not a token
"""Prefix of an install's token. Source: partner-api."""
SIGNING_SECRET_START = "whsec_"  # noqa: S105
OBSERVATION_KEY_START = "rdo_"

STARTS = (TOKEN_START, SIGNING_SECRET_START, OBSERVATION_KEY_START)


def has_secret(text: str) -> bool:
    """Return whether the text contains something that looks like a secret."""
    return any(start in text for start in STARTS)
