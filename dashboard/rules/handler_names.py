"""What readers call the handler of an endpoint: the partner's people say "your handler". Pure.

Sentences are made, and some are stored, for everybody: with "the handler". Pages put the reader's name in its place.
"""

THE_HANDLER, YOUR_HANDLER = "the handler", "your handler"


def calling(text: str, handler: str) -> str:
    """Return a sentence of ours with what its reader calls the handler."""
    begun = text.replace(_upper(THE_HANDLER), _upper(handler))
    return begun.replace(THE_HANDLER, handler)


def _upper(name: str) -> str:
    return f"{name[:1].upper()}{name[1:]}"
