"""Words and looks of hand-overs, and a command that signs the event itself."""

import subprocess

import pytest

from dashboard.models import Handover
from dashboard.presenters.handovers import (
    HandoverRow,
    curl_of,
    progress_of,
    rows_of,
    source_words,
)
from dashboard.rules.handovers import Result
from dashboard.rules.reconciliation import Event
from dashboard.rules.reconstruction import ContractFields, LinkFields, Person, build
from dashboard.templatetags.redeliver import LOOKS
from tests.factories import NOON

BUILT = build(
    event=Event.ENDED,
    contract=ContractFields("ctr_1", "ended", "job_1", 'It\'s $HOME `id` "quoted" é', NOON, NOON, NOON),
    link=LinkFields("plk_1"),
    freelancer=Person("usr_1"),
    install_id="ins_1",
    endpoint_id="whe_1",
)


@pytest.mark.parametrize("result", list(Result), ids=lambda one: one.name)
def test_every_result_has_its_look(result: Result) -> None:
    row = HandoverRow(Handover(result=result.value))
    assert row.kind in LOOKS
    assert row.tone
    assert row.label == result.label


def test_row_says_how_far_it_is() -> None:
    waiting, sending, done = rows_of(
        [Handover(), Handover(sent_at=NOON), Handover(sent_at=NOON, ended_at=NOON, result="ok", words="Taken.")]
    )
    assert [(row.is_waiting, row.words) for row in (waiting, sending, done)] == [
        (True, "Waiting to be sent…"),
        (True, "Sending it to the handler…"),
        (False, "Taken."),
    ]


def test_progress_counts_what_has_ended() -> None:
    rows = [Handover(), *(Handover(ended_at=NOON, result=one) for one in ("ok", "ok", "unknown", "not_sent"))]
    progress = progress_of(rows)
    assert (progress.all, progress.ended, progress.is_over) == (5, 4, False)
    assert progress.counts == "2 handed over, 1 not known, 1 not sent"
    assert progress_of(rows[1:]).is_over


def test_source_of_the_person_is_said() -> None:
    assert source_words(None, is_logged=True) == ""
    assert source_words(Person("usr_1"), is_logged=True) == "from a logged event of this contract"
    assert source_words(Person("usr_1"), is_logged=False) == "read of OpenTrain now, and not stored"


def test_command_signs_the_same_body_when_it_runs(tmp_path: object) -> None:
    command = curl_of(BUILT, url="https://acme.example.com/hook")
    assert "X-OpenTrain-Signature: t=$T,v1=$V1" in command
    # In place of curl: print the signature header and the body.
    shown = 'curl() { for part in "$@"; do case "$part" in X-OpenTrain-Signature*) echo "$part";; esac; last="$part"; '
    shown += 'done; printf %s "$last"; }'
    ran = subprocess.run(
        ["sh", "-c", f"{shown}\n{command}"],
        env={"PATH": "/usr/bin:/bin", "SIGNING_SECRET": "whsec_of_mine"},
        capture_output=True,
        check=True,
    )
    header, body = ran.stdout.split(b"\n", 1)
    stamp, given = (part.split("=", 1)[1] for part in header.decode().split(": ")[1].split(","))
    made = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "whsec_of_mine", "-r"],
        input=f"{stamp}.".encode() + BUILT.body,
        capture_output=True,
        check=True,
    )
    assert (body, given) == (BUILT.body, made.stdout.split()[0].decode())


def test_command_has_no_secret_of_the_handlers_url_and_is_left_out_where_none_is_safe() -> None:
    assert "s3cr3t" not in curl_of(BUILT, url="https://acme.example.com/hook?api_key=s3cr3t")
    assert curl_of(BUILT, url="not a URL") == ""
