"""Diagnosis of a request: finds out in which way its signature fails."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from dashboard.rules import pasted
from dashboard.rules.doctor import header
from dashboard.rules.doctor.bodies import SMALL_BYTES, Variant, variants
from dashboard.rules.doctor.diagnosis import Diagnosis, Kind, finding
from dashboard.rules.doctor.rewriters import writers_of
from dashboard.rules.doctor.signs import signs_of
from dashboard.rules.durations import span
from dashboard.rules.headers import values_of
from dashboard.rules.secret_texts import SIGNING_SECRET_START
from dashboard.signatures import HEADER, OTHERS_TRIED, TOLERANCE_S, Verdict, split, verify


@dataclass(frozen=True, slots=True)
class NamedSecret:
    """Another endpoint's secret; `name` is shown to people."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Case:
    """A well-formed signature that does not match, with everything that may have produced it."""

    stamp: str
    digest: str
    bodies: Sequence[bytes] = field(repr=False)
    secret: str = field(repr=False)
    others: Sequence[NamedSecret] = field(repr=False)

    def fits(self, *, key: bytes, message: bytes) -> bool:
        return hmac.compare_digest(hmac.new(key, message, hashlib.sha256).hexdigest(), self.digest)

    def message(self, body: bytes) -> bytes:
        return self.stamp.encode() + b"." + body


def diagnose(
    *,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    secret: str,
    now: int,
    other_secrets: Sequence[NamedSecret] = (),
    also_as: Sequence[bytes] = (),
    delivery_id: str = "",
) -> Diagnosis:
    """Diagnose a request's signature.

    `now` is when the request arrived, in Unix seconds. `other_secrets` belong to the install's other endpoints.
    `also_as` holds alternatives of a pasted body whose line endings are unknown. `delivery_id` is tried as part of the
    signed message. The diagnosis contains none of the arguments except names.
    """
    secret, values = _encodable(secret), [_encodable(value) for value in values_of(headers, HEADER)]
    bodies = [body, *also_as]
    for one in bodies:
        verdict = verify(secret=secret, headers=values, body=one, now=now).verdict
        if verdict is not Verdict.MISMATCH:
            break
    if verdict is Verdict.MISSING:
        return finding(kind=Kind.MISSING, words=f"The request has no {HEADER} header.")
    if verdict is Verdict.DOUBLED:
        return finding(kind=Kind.DOUBLED, words=f"The request has more than one {HEADER} header.")
    parts = split(values[0])
    if parts is None:
        return _malformed(header.read(values[0]), bodies=bodies, secret=secret, others=other_secrets)
    stamp, digest = parts
    if verdict is Verdict.MISMATCH:
        case = _Case(stamp, digest, bodies, secret, other_secrets[:OTHERS_TRIED])
        return _mismatch(case, delivery_id=_encodable(delivery_id), age_s=now - int(stamp))
    return in_time(age_s=now - int(stamp))


def in_time(*, age_s: int) -> Diagnosis:
    """Return the diagnosis of a genuine signature by its age. `age_s` is negative for one from the future."""
    if age_s > TOLERANCE_S:
        words = f"The signature is genuine, but was {age(age_s)} old when it arrived; {TOLERANCE_S} s are allowed."
        return finding(kind=Kind.STALE, words=words)
    if age_s < -TOLERANCE_S:
        words = f"The signature is genuine, but its time is {age(-age_s)} ahead; {TOLERANCE_S} s are allowed."
        return finding(kind=Kind.FUTURE, words=words)
    return finding(kind=Kind.GENUINE, words="The signature is genuine and in time.")


def age(seconds: int) -> str:
    """Return a duration in seconds, and for long ones also in the largest unit."""
    exactly, about = f"{seconds} s", span(duration=timedelta(seconds=seconds))
    return exactly if about == exactly else f"{exactly} ({about})"


def _malformed(
    reading: header.Reading, *, bodies: Sequence[bytes], secret: str, others: Sequence[NamedSecret]
) -> Diagnosis:
    words = header.malformed_words(reading.faults)
    if reading.stamp and reading.digest:
        case = _Case(reading.stamp, reading.digest, bodies, secret, others)
        if any(case.fits(key=secret.encode(), message=case.message(body)) for body in bodies):
            words += " Otherwise it is genuine: this endpoint's secret signed this body."
        else:
            words += " Even as probably intended, it does not match this body and secret."
    return finding(kind=Kind.MALFORMED, words=words)


def _mismatch(case: _Case, *, delivery_id: str, age_s: int) -> Diagnosis:
    found = (
        _other_endpoint(case)
        or _secret_form(case)
        or _signed_otherwise(case, delivery_id=delivery_id)
        or _body_changed(case)
        or _wrong_secret(case)
    )
    if abs(age_s) <= TOLERANCE_S:
        return found
    side = "old when it arrived" if age_s > 0 else "ahead of its arrival"
    words = f"{found.words} Its time is also {age(abs(age_s))} {side}; {TOLERANCE_S} s are allowed."
    return Diagnosis(found.kind, words, found.advice, found.code)


def _other_endpoint(case: _Case) -> Diagnosis | None:
    for other in case.others:
        key = _encodable(other.secret).encode()
        if any(case.fits(key=key, message=case.message(body)) for body in case.bodies):
            words = f"It was signed with the secret of another endpoint of this install: {other.name}."
            return finding(kind=Kind.OTHER_ENDPOINT, words=words)
    return None


def _secret_form(case: _Case) -> Diagnosis | None:
    for how, key in _keys(case.secret):
        if any(case.fits(key=key, message=case.message(body)) for body in case.bodies):
            return finding(kind=Kind.SECRET_FORM, words=f"It matches if the secret is used {how}.")
    return None


def _keys(secret: str) -> Iterator[tuple[str, bytes]]:
    bare = secret.strip().strip("\"'")
    core = bare.removeprefix(SIGNING_SECRET_START)
    yield "without the surrounding spaces or quotation marks", bare.encode()
    yield "without the characters that copying adds", _listed_alone(secret).encode()
    yield "without its whsec_", core.encode()
    yield "with its prefix whsec_", SIGNING_SECRET_START.encode() + core.encode()
    for how, key in (("with a final newline", bare + "\n"), ("with CR LF at its end", bare + "\r\n")):
        yield how, key.encode()
    yield "without its whsec_ and with a final newline", core.encode() + b"\n"
    yield "in quotation marks", f'"{bare}"'.encode()
    yield "in lower case", bare.lower().encode()
    name, start, rest = secret.partition(SIGNING_SECRET_START)
    if name and start:
        yield "without the text before whsec_", pasted.bare(start + rest).encode()
    for how, text in (("decoded from base64", core), ("decoded from base64 with its whsec_", bare)):
        decoded = _unbase64(text)
        if decoded:
            yield how, decoded
    try:
        yield "decoded from hex", bytes.fromhex(core)
    except ValueError:
        return


def _listed_alone(secret: str) -> str:
    """Return the secret without what copying adds, also as the only value of a JSON list."""
    try:
        return pasted.one(secret, what="signing secret")
    except pasted.Unusable:
        return pasted.bare(secret)


def _unbase64(text: str) -> bytes | None:
    text = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _signed_otherwise(case: _Case, *, delivery_id: str) -> Diagnosis | None:
    key = case.secret.encode()
    for body in case.bodies:
        for how, message in _messages(case.stamp.encode(), body, delivery_id.encode()):
            if case.fits(key=key, message=message):
                return finding(kind=Kind.SIGNED_OTHERWISE, words=f"It was signed {how}.")
            if case.digest in {hashlib.sha256(message).hexdigest(), hashlib.sha256(key + message).hexdigest()}:
                return finding(kind=Kind.SIGNED_OTHERWISE, words="It is a plain SHA-256, not an HMAC.")
    return None


def _messages(stamp: bytes, body: bytes, delivery_id: bytes) -> Iterator[tuple[str, bytes]]:
    yield "without the timestamp: over the body alone", body
    yield "with nothing between timestamp and body", stamp + body
    for how, between in (
        ("a colon", b":"), ("a comma", b","), ("a space", b" "), ("a newline", b"\n"), ("a hyphen", b"-"), ("|", b"|"),
    ):  # fmt: skip
        yield f"with {how} instead of a dot between timestamp and body", stamp + between + body
    yield "with the timestamp after the body", body + b"." + stamp
    yield "with t= before the timestamp", b"t=" + stamp + b"." + body
    yield "with the timestamp in milliseconds", stamp + b"000." + body
    yield "with the delivery ID before the timestamp", delivery_id + b"." + stamp + b"." + body
    yield "over the SHA-256 of the body", stamp + b"." + hashlib.sha256(body).hexdigest().encode()
    yield "in the usual way, but without HMAC", stamp + b"." + body


def _body_changed(case: _Case) -> Diagnosis | None:
    """Try variants of the body with this endpoint's secret and, for small bodies, with the others'."""
    for body in case.bodies:
        small = len(body) <= SMALL_BYTES
        keys = [("", case.secret), *((other.name, other.secret) for other in case.others if small)]
        for variant in variants(body):
            message = case.message(variant.body)
            for name, secret in keys[:1] if variant.is_guess else keys:
                if case.fits(key=_encodable(secret).encode(), message=message):
                    return _changed(variant, received=body, name=name)
    return None


def _changed(variant: Variant, *, received: bytes, name: str) -> Diagnosis:
    words = f"The body is not the signed one. The signature matches this body {variant.how}."
    writers = writers_of(signed=variant.body, received=received) if len(received) <= SMALL_BYTES else []
    if writers:
        words += f" {_either(writers)} makes exactly this of the signed body."
    if name:
        words += f" It was also signed with the secret of another endpoint of this install: {name}."
    return finding(kind=Kind.BODY_ESCAPED if variant.is_escaped else Kind.BODY_CHANGED, words=words)


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _wrong_secret(case: _Case) -> Diagnosis:
    if not any(case.bodies):
        words = "The signature does not match an empty body: either the body was lost, or another secret signed it."
        advice = "Something may have read the body before the check. Verify the raw bytes before anything reads them."
        return finding(kind=Kind.WRONG_SECRET, words=words, advice=advice)
    tried = f" nor that of {len(case.others)} other endpoint{'s' * (len(case.others) != 1)}" if case.others else ""
    words = (
        f"Neither this secret{tried} made this signature, and no common change of the body explains it."
        if tried
        else "This secret did not make this signature, and no common change of the body explains it."
    )
    return finding(kind=Kind.WRONG_SECRET, words=" ".join([words, *_likely(case.bodies[0])]))


def _likely(body: bytes) -> Sequence[str]:
    """Return what the body's form suggests, as far as it is not proven."""
    found = signs_of(body)
    if not found:
        return ()
    return (*found, "So the body may have been rewritten, but what was signed cannot be created again from it.")


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()
