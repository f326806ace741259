"""What readers call the handler of an endpoint: the partner's people say "your handler". Pure.

Sentences are made, and some are stored, for everybody: with "the handler". Pages put the reader's name in its place.
"""

import re

from dashboard.rules.outside_texts import QUOTED

THE_HANDLER, YOUR_HANDLER = "the handler", "your handler"
_NAMED = re.compile(rf"{QUOTED.pattern}|[Tt]{THE_HANDLER[1:]}")


def calling(text: str, handler: str) -> str:
    """Return a sentence of ours with what its reader calls the handler. What it quotes stays as it was said."""
    if handler == THE_HANDLER:
        return text
    names = {THE_HANDLER: handler, _upper(THE_HANDLER): _upper(handler)}
    return _NAMED.sub(lambda found: names.get(found[0], found[0]), text)


def _upper(name: str) -> str:
    return f"{name[:1].upper()}{name[1:]}"
