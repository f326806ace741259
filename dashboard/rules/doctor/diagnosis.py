"""What can be wrong, in words for a support person, with a hint in code for the partner's developer.

No text here repeats a value of the request: whatever was pasted, a diagnosis cannot give it away.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What it came to. UNTESTED is only said of a refused request in the log, whose body was not kept."""

    GENUINE = "genuine"
    MISSING = "missing"
    DOUBLED = "doubled"
    MALFORMED = "malformed"
    STALE = "stale"
    FUTURE = "future"
    OTHER_ENDPOINT = "other_endpoint"
    BODY_CHANGED = "body_changed"
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
    Kind.SIGNED_OTHERWISE: "Signed in another way",
    Kind.SECRET_FORM: "The secret was used in another form",
    Kind.WRONG_SECRET: "A secret that we do not know",
    Kind.UNTESTED: "The body is needed",
    Kind.NOT_THE_SIGNATURE: "Not the signature",
}

RAW_BODY = """\
// Express: check the bytes as they came, then parse them
app.post("/webhooks/opentrain",
  express.raw({ type: "application/json" }),
  (req, res) => { verify(req.headers["x-opentrain-signature"], req.body); });

# Django: request.body
# Flask: request.get_data()
# FastAPI: await request.body()"""
SIGNING = """\
# t as it stands in the header, a dot, the bytes as they came
signed = timestamp.encode() + b"." + raw_body
expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
hmac.compare_digest(expected, v1)"""
AS_GIVEN = """\
# whole, with its whsec_; never decoded
key = os.environ["OPENTRAIN_SECRET"].strip()
hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()"""
HEADER = """\
# nginx passes the header on as it is; nothing may rewrite or repeat it
proxy_pass_request_headers on;
# X-OpenTrain-Signature: t=<unix seconds>,v1=<64 lower-case hex digits>"""
CLOCK = """\
# "System clock synchronized: yes"?
timedatectl status
sudo timedatectl set-ntp true"""

_MENDS = {
    Kind.GENUINE: (
        "Nothing is wrong with this request. If a handler refuses it, the handler's own check is wrong: it must "
        "sign t, a dot and the raw bytes of the body with the whole secret."
    ),
    Kind.MISSING: (
        "OpenTrain signs every delivery. Either something on the way (a proxy, a gateway, a function's adapter) "
        "drops the header, or the request did not come from OpenTrain. Have X-OpenTrain-Signature passed on."
    ),
    Kind.DOUBLED: (
        "OpenTrain sends one. Something on the way adds it a second time: have the proxy pass the header on, and "
        "not set it as well."
    ),
    Kind.MALFORMED: (
        "OpenTrain writes it as t=<unix seconds>,v1=<64 hex digits>. Whatever rewrites it on the way must leave "
        "it alone. If the request comes from your own test, have the test sign as OpenTrain does."
    ),
    Kind.STALE: (
        "Compare the receiver's clock with the true time, and look for what held the request up: a queue or a "
        "proxy that sends old requests again. A redelivery gets a signature of its own, so redelivering mends it."
    ),
    Kind.FUTURE: (
        "The receiver's clock is slow, or the sender's is fast. Compare the receiver's with the true time and "
        "have it kept by NTP; then redeliver."
    ),
    Kind.OTHER_ENDPOINT: (
        "Each endpoint has a secret of its own. Either the deliveries of that endpoint are sent to this address, "
        "or the two secrets were mixed up when they were set. Give each handler the secret of its own endpoint."
    ),
    Kind.BODY_CHANGED: (
        "Something between OpenTrain and the check parsed the body and wrote it again, or changed its ends. The "
        "signature covers the bytes as they came: check it before anything parses them."
    ),
    Kind.SIGNED_OTHERWISE: (
        "The secret is right and the body is untouched, but the signature was made over something else than t, a "
        "dot and the body. OpenTrain does not sign so: look at the code that signed it, often a test's."
    ),
    Kind.SECRET_FORM: (
        "The key is the secret exactly as OpenTrain showed it, with whsec_ and nothing around it, as text: not "
        "decoded and without a line's end. Set it anew where it is kept."
    ),
    Kind.WRONG_SECRET: (
        "Check that the endpoint was not deleted and made anew since the secret was noted: a new endpoint has a "
        "new secret. The old one cannot be shown again: if it is lost, register the endpoint anew. If nothing of "
        "that fits, the body may have been changed in a way that cannot be undone, or somebody else sent this."
    ),
    Kind.UNTESTED: "Paste the body below. Its SHA-256 was kept, so you are told whether it is the very same.",
    Kind.NOT_THE_SIGNATURE: "This was refused before its signature was looked at.",
}
_CODES = {
    Kind.GENUINE: SIGNING,
    Kind.MISSING: HEADER,
    Kind.DOUBLED: HEADER,
    Kind.MALFORMED: HEADER,
    Kind.STALE: CLOCK,
    Kind.FUTURE: CLOCK,
    Kind.BODY_CHANGED: RAW_BODY,
    Kind.SIGNED_OTHERWISE: SIGNING,
    Kind.SECRET_FORM: AS_GIVEN,
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding: `words` say what it is, `mend` how to mend it, `code` is for the partner's developer or empty."""

    kind: Kind
    words: str
    mend: str
    code: str = ""

    @property
    def genuine(self) -> bool:
        """Whether OpenTrain's own signature was recognised; an old one is genuine too."""
        return self.kind in {Kind.GENUINE, Kind.STALE, Kind.FUTURE}


def finding(*, kind: Kind, words: str, mend: str = "") -> Diagnosis:
    """Return a diagnosis with its kind's own advice, unless another is given."""
    return Diagnosis(kind, words, mend or _MENDS[kind], _CODES.get(kind, ""))
