"""Signatures against digests computed outside this project, and every reason for a refusal.

Signer and verifier share code, so a round trip would prove nothing. Each digest below was printed by
`printf '%s.' "$t" | cat - body | openssl dgst -sha256 -hmac "$secret"`.
"""

import pytest

from dashboard.signatures import Verdict, Verification, sign, split, verify

T = 1781265600
ONE = "whsec_known-answer-number-one"
TWO = "whsec_known-answer-number-two"
EVENT = b'{"id":"evt_1","type":"contract.started"}'
EVENT_BY_ONE = "4b46e58840aaf4f0ea009852ffdf0b5daa8648ff319593e07d220b4dc728a684"
EVENT_BY_TWO = "7bb1eb96a38b745c6df62b3b987a8f5203001c7a6a6c1b8e041f16a7c3777f7c"
EVENT_BY_ONE_WITHOUT_ITS_PREFIX = "ba7d89e7b307be083005481c62a660f02d056479ea056b2fce99fe5cc4d3659b"

VECTORS = {
    "event": (ONE, T, EVENT, EVENT_BY_ONE),
    "unicode": (
        ONE,
        T,
        b'{"name":"\xc3\x85sa \xf0\x9f\x9a\x80"}',
        "bcdf28e31965826ad4e7acd60ffa5aa38f807491edb5901fbc8dd170eef1945c",
    ),
    "empty": (ONE, T, b"", "05073d5c465ce6e23cea248965c69aa4589e77f38277d94758c2752ee4d758d3"),
    "binary": (
        ONE,
        T,
        b"\x00\xff\xfe\x00\x0d\x0a\x80",
        "11412e1165c7e651ddb17bc21a6eb7ca16ca10cbdf912c6d30cc10aa1a29a19c",
    ),
    "trailing newline": (ONE, T, EVENT + b"\n", "ab7c8d23a68bad4610dee4c68498d329e2dfa1505b1aa2a2ccfd1200bee60d07"),
    "another secret": (TWO, T, EVENT, EVENT_BY_TWO),
    "a secret longer than SHA-256's block": (
        "whsec_" + "k" * 100,
        T,
        EVENT,
        "d5969bd84ea65000b9a2e4cfe3f1e5b1ec9fb9c386b4546959b0727dc47f1424",
    ),
    "the first second of 1970": (ONE, 0, EVENT, "5e841750396b23528cb0db1f8a3b4cbd4daba5d981e86806beaa9edd67a89039"),
}
vectors = pytest.mark.parametrize(("secret", "t", "body", "digest"), VECTORS.values(), ids=VECTORS.keys())


@vectors
def test_sign_gives_the_digest_that_openssl_gives(secret, t, body, digest) -> None:
    assert sign(secret=secret, body=body, timestamp=t) == f"t={t},v1={digest}"


@vectors
def test_verify_accepts_the_digest_that_openssl_gives(secret, t, body, digest) -> None:
    found = verify(secret=secret, headers=[f"t={t},v1={digest}"], body=body, now=t)
    assert found == Verification(Verdict.VERIFIED, "The signature is genuine and in time.")
    assert found.ok


def verify_event(*, headers=(f"t={T},v1={EVENT_BY_ONE}",), body=EVENT, now=T, other_secrets=()):
    return verify(secret=ONE, headers=headers, body=body, now=now, other_secrets=other_secrets)


MISMATCH = Verification(
    Verdict.MISMATCH,
    "The signature does not match: the body was changed on its way, or a secret that we do not know signed it.",
)
MALFORMED = Verification(
    Verdict.MALFORMED,
    "The X-OpenTrain-Signature header is not of the form t=<unix seconds>,v1=<64 hex digits>.",
)


@pytest.mark.parametrize(
    "body", [EVENT[:-1], EVENT + b" ", EVENT + b"\n", EVENT.replace(b"1", b"2"), b"", EVENT.replace(b":", b": ")]
)
def test_verify_with_a_changed_body_is_a_mismatch(body) -> None:
    assert verify_event(body=body) == MISMATCH


def test_verify_with_a_secret_that_nobody_knows_is_a_mismatch() -> None:
    header = f"t={T},v1={EVENT_BY_TWO}"
    assert verify_event(headers=[header]) == MISMATCH
    assert verify_event(headers=[header], other_secrets=["whsec_a-third"]) == MISMATCH


def test_verify_with_the_secret_of_another_endpoint_says_so() -> None:
    found = verify_event(headers=[f"t={T},v1={EVENT_BY_TWO}"], other_secrets=["whsec_a-third", TWO])
    assert found == Verification(
        Verdict.OTHER_ENDPOINT, "The request was signed with the secret of another endpoint of this install."
    )
    assert not found.ok


def test_verify_of_a_genuine_signature_never_looks_at_other_secrets() -> None:
    def secrets_that_must_not_be_read():
        pytest.fail("the other secrets were read")
        yield ""

    assert verify_event(other_secrets=secrets_that_must_not_be_read()).verdict is Verdict.VERIFIED


def test_verify_with_the_secret_used_without_its_prefix_is_a_mismatch() -> None:
    assert verify_event(headers=[f"t={T},v1={EVENT_BY_ONE_WITHOUT_ITS_PREFIX}"]) == MISMATCH


def test_verify_with_a_time_that_was_not_signed_is_a_mismatch() -> None:
    assert verify_event(headers=[f"t={T + 1},v1={EVENT_BY_ONE}"], now=T + 1) == MISMATCH


@pytest.mark.parametrize(
    ("now", "verdict", "explanation"),
    [
        (T + 300, Verdict.VERIFIED, "The signature is genuine and in time."),
        (T + 301, Verdict.STALE, "The signature is 301 s old; 300 s are allowed."),
        (T - 300, Verdict.VERIFIED, "The signature is genuine and in time."),
        (T - 301, Verdict.FUTURE, "The signature is 301 s in the future; 300 s are allowed."),
    ],
)
def test_verify_allows_300_s_either_way(now, verdict, explanation) -> None:
    assert verify_event(now=now) == Verification(verdict, explanation)


def test_verify_of_an_old_forgery_is_a_mismatch_and_not_stale() -> None:
    assert verify_event(headers=[f"t={T},v1={'0' * 64}"], now=T + 9999) == MISMATCH


def test_verify_without_the_header_says_it_is_missing() -> None:
    assert verify_event(headers=[]) == Verification(
        Verdict.MISSING, "The request carried no X-OpenTrain-Signature header."
    )


GENUINE = f"t={T},v1={EVENT_BY_ONE}"


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ([GENUINE, GENUINE], 2),
        ([GENUINE, "nonsense"], 2),
        ([f"{GENUINE},{GENUINE}"], 2),
        ([f"{GENUINE}, t={T},v1={EVENT_BY_TWO}"], 2),
        ([f"{GENUINE},{GENUINE}", GENUINE], 3),
    ],
)
def test_verify_of_a_doubled_header_is_refused_though_one_is_genuine(headers, count) -> None:
    assert verify_event(headers=headers) == Verification(
        Verdict.DOUBLED, f"The request carried {count} X-OpenTrain-Signature headers."
    )


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "nonsense",
        EVENT_BY_ONE,
        f"t={T}",
        f"v1={EVENT_BY_ONE}",
        f"v1={EVENT_BY_ONE},t={T}",
        f"t={T},v1=",
        f"t=,v1={EVENT_BY_ONE}",
        f"t={T},v1={EVENT_BY_ONE.upper()}",
        f"t={T},v1={EVENT_BY_ONE[:-1]}",
        f"t={T},v1={EVENT_BY_ONE}0",
        f"t={T},v1={EVENT_BY_ONE[:-1]}g",
        f"t={T},v1={EVENT_BY_ONE[:-1]}é",
        f"t={T},v0={EVENT_BY_ONE}",
        f"t={T},v1={EVENT_BY_ONE},v1={EVENT_BY_ONE}",
        f"t={T},v1={EVENT_BY_ONE},v0=x",
        f"t={T}, v1={EVENT_BY_ONE}",
        f" t={T},v1={EVENT_BY_ONE}",
        f"t={T},v1={EVENT_BY_ONE} ",
        f"t={T},v1={EVENT_BY_ONE}\n",
        f"t=-{T},v1={EVENT_BY_ONE}",
        f"t=+{T},v1={EVENT_BY_ONE}",
        f"t={T}.0,v1={EVENT_BY_ONE}",
        f"t=1_781_265_600,v1={EVENT_BY_ONE}",
        f"t={'9' * 13},v1={EVENT_BY_ONE}",
        f"t={'9' * 5000},v1={EVENT_BY_ONE}",
        f"t=\u0661\u0667\u0668\u0661\u0662\u0666\u0665\u0666\u0660\u0660,v1={EVENT_BY_ONE}",
        f"t={T},v1=" + "\u0661" * 64,
        f"t={T}\x00,v1={EVENT_BY_ONE}",
        "," * 10_000,
    ],
)
def test_verify_of_a_malformed_header_is_refused_as_such(header) -> None:
    assert verify_event(headers=[header]) == MALFORMED


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        (f"t=1,v1={'0' * 64}", ("1", "0" * 64)),
        (f"t={'9' * 12},v1={'f' * 64}", ("9" * 12, "f" * 64)),
        (f"t={'9' * 13},v1={'f' * 64}", None),
        (f"t=1,v1={'0' * 63}", None),
        (f"t=1,v1={'F' * 64}", None),
        (f"t=1, v1={'0' * 64}", None),
        (f"v1={'0' * 64},t=1", None),
        (f"t=1,v1={'0' * 64}\n", None),
    ],
)
def test_split_takes_the_contracts_form_alone_and_verify_calls_all_else_malformed(header, parts) -> None:
    assert split(header) == parts
    verdict = verify(secret=ONE, headers=[header], body=b"", now=T).verdict
    assert (verdict is Verdict.MALFORMED) == (parts is None)


def test_empty_secret_verifies_nothing() -> None:
    header = sign(secret="", body=b"{}", timestamp=1000)
    assert verify(secret="", headers=[header], body=b"{}", now=1000).verdict is Verdict.MISMATCH
    assert verify(secret="x", headers=[header], body=b"{}", now=1000, other_secrets=[""]).verdict is Verdict.MISMATCH
