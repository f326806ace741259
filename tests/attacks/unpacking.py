"""Decoding of stored text that needs no key."""

import base64
import contextlib
import re
import zlib

_RUN = re.compile(r"[A-Za-z0-9_+/-]{16,}")


def unpacked(text: str) -> str:
    """Return the text followed by every base64 part in it, decoded and decompressed."""
    return "\n".join([text, *(_opened(run) for run in _RUN.findall(text))])


def _opened(run: str) -> str:
    whole = run if len(run) % 4 != 1 else run[:-1]
    held = base64.b64decode(whole.translate(str.maketrans("-_", "+/")) + "=" * (-len(whole) % 4))
    with contextlib.suppress(zlib.error):
        held = zlib.decompress(held)
    return held.decode(errors="replace")
