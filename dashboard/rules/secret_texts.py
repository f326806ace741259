"""How the secrets begin that people hold: what is found in logs, searches and forms, and how new ones are made."""

TOKEN_START = "ot_ptk_"  # noqa: S105 - how every token begins, not a token
"""An install's token. Source: partner-api."""
SIGNING_SECRET_START = "whsec_"  # noqa: S105
OBSERVATION_KEY_START = "rdo_"

STARTS = (TOKEN_START, SIGNING_SECRET_START, OBSERVATION_KEY_START)


def has_secret(text: str) -> bool:
    """Whether there is a secret in the text, or what looks like one."""
    return any(start in text for start in STARTS)
