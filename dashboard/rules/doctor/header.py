"""Diagnosis of malformed signature headers, and what they probably mean.

Source: partner-api, "Deliveries": `X-OpenTrain-Signature: t=<unix seconds>,v1=<hex>`.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.rules.pasted import MARKS
from dashboard.signatures import DIGEST_CHARS, HEADER, STAMP

READ_CHARS = 2000
"""Maximum characters of a header to read."""
_HEX = re.compile(r"[0-9a-fA-F]*")
_DIGITS = re.compile(STAMP)
_HASHES = {32: "MD5", 40: "SHA-1", 96: "SHA-384", 128: "SHA-512"}
_QUOTES = "".join(MARKS)
_BY_SPACE = re.compile(r"[^\s,;=]\s+\w+\s*=")
_MILLISECONDS = 13


@dataclass(frozen=True, slots=True)
class Reading:
    """The faults of a header, as sentences, and its probable time and signature, or ""."""

    faults: Sequence[str]
    stamp: str = ""
    digest: str = ""


def malformed_words(faults: Sequence[str]) -> str:
    """Return the sentence for a malformed header with these faults."""
    return f"The {HEADER} header is malformed. {' '.join(faults)}"


def read(value: str) -> Reading:
    """Return the faults of a header value that `signatures.verify` called malformed."""
    value = value[:READ_CHARS]
    whole = value.strip().rstrip(",; ")
    bare = whole.strip(_QUOTES)
    if not bare:
        return Reading(["It is empty."])
    if bare.lower().startswith("sha256="):
        return Reading(["It begins with sha256=, the format of other services, and has no time (t=)."])
    if bare.startswith("v1,"):
        return Reading(["It has the format v1,<base64> of other services, and no time (t=)."])
    faults = [*_around(value, whole, bare)]
    parts = _parts(bare)
    names = [name for name, _value in parts]
    stamp, stamp_faults = _stamp(dict(parts).get("t"))
    digest, digest_faults = _digest(dict(parts).get("v1"))
    faults += [*stamp_faults, *digest_faults]
    if "t" in names and "v1" in names:
        faults += _order(names)
    return Reading(faults or ["It has unexpected characters."], stamp, digest)


def _around(value: str, whole: str, bare: str) -> list[str]:
    """Return the faults around and between the parts. `whole` is without a final comma, `bare` without marks too."""
    faults = []
    if _BY_SPACE.search(bare):
        faults.append("A space instead of a comma separates its parts.")
    elif any(character.isspace() for character in value):
        faults.append("It contains spaces.")
    if value.strip() != whole:
        faults.append("It ends with a comma or semicolon.")
    if whole != bare:
        faults.append("It is in quotation marks.")
    if ";" in bare:
        faults.append("A semicolon instead of a comma separates its parts.")
    return faults


def _parts(bare: str) -> list[tuple[str, str]]:
    tight = re.sub(r"\s*([=,;])\s*", r"\1", bare)
    pairs = [part.partition("=") for part in re.split(r"[,;]|\s+(?=\w+=)", tight)]
    return [(name.strip().lower(), value.strip().strip(_QUOTES)) for name, _sign, value in pairs]


def _order(names: list[str]) -> list[str]:
    faults = ["v1 comes before t."] if names.index("v1") < names.index("t") else []
    return [*faults, "It has more parts than t and v1."] if len(names) > len(("t", "v1")) else faults


def _stamp(given: str | None) -> tuple[str, list[str]]:
    if given is None:
        return "", ["The time (t=) is missing."]
    if not given:
        return "", ["The time (t=) is empty."]
    if _DIGITS.fullmatch(given):
        return given, []
    if given.isascii() and given.isdigit() and len(given) == _MILLISECONDS:
        return given, ["The time (t=) is in milliseconds instead of seconds."]
    return "", ["The time (t=) is not a number of seconds."]


def _digest(given: str | None) -> tuple[str, list[str]]:
    if given is None:
        return "", ["The signature (v1=) is missing."]
    if not given:
        return "", ["The signature (v1=) is empty."]
    if _HEX.fullmatch(given):
        return _hex(given)
    raw = _unbase64(given)
    if raw is not None:
        return raw.hex(), ["The signature (v1=) is base64 instead of hex."]
    return "", ["The signature (v1=) contains characters other than hex digits."]


def _hex(given: str) -> tuple[str, list[str]]:
    if len(given) != DIGEST_CHARS:
        looks = f", like {_HASHES[len(given)]}" if len(given) in _HASHES else ""
        return "", [f"The signature (v1=) has {len(given)} hex digits{looks}, instead of {DIGEST_CHARS} (SHA-256)."]
    if given != given.lower():
        return given.lower(), ["The signature (v1=) is in upper case instead of lower case."]
    return given, []


def _unbase64(given: str) -> bytes | None:
    """Return the 32 bytes of a base64 text in either alphabet; None for anything else."""
    text = given.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == DIGEST_CHARS // 2 else None
