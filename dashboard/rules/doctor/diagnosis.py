"""Findings of the doctor: words for support, and example code for the partner's developer.

No text repeats a value of the request, so a diagnosis cannot leak what was pasted.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kind of a finding. UNTESTED applies only to refused requests in the log, whose body is not kept."""

    GENUINE = "genuine"
    MISSING = "missing"
    DOUBLED = "doubled"
    MALFORMED = "malformed"
    STALE = "stale"
    FUTURE = "future"
    OTHER_ENDPOINT = "other_endpoint"
    BODY_CHANGED = "body_changed"
    BODY_ESCAPED = "body_escaped"
    SIGNED_OTHERWISE = "signed_otherwise"
    SECRET_FORM = "secret_form"  # noqa: S105 - a kind's name
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a kind's name
    UNTESTED = "untested"
    NOT_THE_SIGNATURE = "not_the_signature"

    @property
    def label(self) -> str:
        return LABELS[self]


LABELS = {
    Kind.GENUINE: "Genuine",
    Kind.MISSING: "No signature",
    Kind.DOUBLED: "Several signatures",
    Kind.MALFORMED: "Malformed signature",
    Kind.STALE: "Genuine, but too old",
    Kind.FUTURE: "Genuine, but from the future",
    Kind.OTHER_ENDPOINT: "Another endpoint's secret",
    Kind.BODY_CHANGED: "The body was changed",
    Kind.BODY_ESCAPED: "The body was escaped or wrapped",
    Kind.SIGNED_OTHERWISE: "Signed differently",
    Kind.SECRET_FORM: "Secret used in another form",
    Kind.WRONG_SECRET: "Unknown secret",
    Kind.UNTESTED: "Body needed",
    Kind.NOT_THE_SIGNATURE: "Not the signature",
}

RAW_BODY = """\
// Express: verify the raw bytes, then parse them
app.post("/webhooks/opentrain",
  express.raw({ type: "application/json" }),
  (req, res) => { verify(req.headers["x-opentrain-signature"], req.body); });

# Django: request.body
# Flask: request.get_data()
# FastAPI: await request.body()
# PHP: file_get_contents("php://input")
# Rails: request.raw_post
# Go: io.ReadAll(r.Body)"""
SIGNING = """\
# t from the header, a dot, the raw bytes of the body
signed = timestamp.encode() + b"." + raw_body
expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
hmac.compare_digest(expected, v1)"""
AS_GIVEN = """\
# complete, including whsec_; never decoded
key = os.environ["OPENTRAIN_SECRET"].strip()
hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()"""
HEADER = """\
# nginx forwards the header unchanged; nothing may rewrite or repeat it
proxy_pass_request_headers on;
# X-OpenTrain-Signature: t=<unix seconds>,v1=<64 lower-case hex digits>"""
CLOCK = """\
# "System clock synchronized: yes"?
timedatectl status
sudo timedatectl set-ntp true"""

_ADVICE = {
    Kind.GENUINE: (
        "This request is correct. If a handler refuses it, the handler's own check is wrong: it must sign t, a dot "
        "and the raw bytes of the body with the complete secret."
    ),
    Kind.MISSING: (
        "OpenTrain signs every delivery. Either a proxy, gateway or function adapter drops the header, or the "
        "request did not come from OpenTrain. Forward X-OpenTrain-Signature."
    ),
    Kind.DOUBLED: (
        "OpenTrain sends one. A proxy adds a second one: configure it to forward the header and not to set it."
    ),
    Kind.MALFORMED: (
        "OpenTrain sends t=<unix seconds>,v1=<64 hex digits>. Find what rewrites the header on the way, and stop "
        "it. If the request comes from your own test, make the test sign as OpenTrain does."
    ),
    Kind.STALE: (
        "Check the receiver's clock, and look for what delayed the request: a queue, or a proxy that replays old "
        "requests. A redelivery gets a new signature, so redelivering helps."
    ),
    Kind.FUTURE: (
        "The receiver's clock is slow, or the sender's is fast. Synchronize the receiver's clock with NTP, then "
        "redeliver."
    ),
    Kind.OTHER_ENDPOINT: (
        "Each endpoint has its own secret. Either that endpoint's deliveries are sent to this URL, or the two "
        "secrets were swapped. Configure each handler with the secret of its own endpoint."
    ),
    Kind.BODY_CHANGED: (
        "Something between OpenTrain and the check parsed and rewrote the body, or changed its line endings. The "
        "signature covers the raw bytes: verify it before anything parses them."
    ),
    Kind.BODY_ESCAPED: (
        "The signed body is in this text, so the request itself may be correct: logs, consoles and mail change bodies "
        "in this way. If the handler refuses it, check that it verifies the raw bytes and not such a text."
    ),
    Kind.SIGNED_OTHERWISE: (
        "The secret and the body are correct, but the signature covers something other than t, a dot and the "
        "body. OpenTrain does not sign this way: check the code that signed it, often a test."
    ),
    Kind.SECRET_FORM: (
        "The key is the secret as text, exactly as OpenTrain showed it: with whsec_, not decoded, and without a "
        "newline. Set it again where it is stored."
    ),
    Kind.WRONG_SECRET: (
        "Check whether the endpoint was deleted and registered again after the secret was stored: a new endpoint "
        "has a new secret. OpenTrain never shows a secret again; if it is lost, register the endpoint again. "
        "Otherwise the body may have changed beyond recognition, or someone else sent this request."
    ),
    Kind.UNTESTED: "Paste the body below. Its SHA-256 was kept, so Redeliver can tell whether it is the same body.",
    Kind.NOT_THE_SIGNATURE: "The request was refused before its signature was checked.",
}
_CODES = {
    Kind.GENUINE: SIGNING,
    Kind.MISSING: HEADER,
    Kind.DOUBLED: HEADER,
    Kind.MALFORMED: HEADER,
    Kind.STALE: CLOCK,
    Kind.FUTURE: CLOCK,
    Kind.BODY_CHANGED: RAW_BODY,
    Kind.BODY_ESCAPED: RAW_BODY,
    Kind.SIGNED_OTHERWISE: SIGNING,
    Kind.SECRET_FORM: AS_GIVEN,
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding: what is wrong, what to do, and example code for the partner's developer, or ""."""

    kind: Kind
    words: str
    advice: str
    code: str = ""

    @property
    def genuine(self) -> bool:
        """Whether the signature is OpenTrain's own; a stale one is genuine too."""
        return self.kind in {Kind.GENUINE, Kind.STALE, Kind.FUTURE}


def finding(*, kind: Kind, words: str, advice: str = "") -> Diagnosis:
    """Return a diagnosis; by default with the advice of its kind."""
    return Diagnosis(kind, words, advice or _ADVICE[kind], _CODES.get(kind, ""))
