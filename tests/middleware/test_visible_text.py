"""Pages show characters that nobody sees; fields and copy buttons keep them, and so do responses to OpenTrain."""

import re

import pytest
from django.test import Client

from dashboard.middleware.visible_text import shown_page
from dashboard.models import User
from dashboard.rules.invisible import is_visible
from tests.attacks.test_requests import read
from tests.attacks.walking import addresses
from tests.factories import (
    make_alert,
    make_attempt,
    make_channel,
    make_delivery,
    make_endpoint,
    make_entry,
    make_failed_delivery,
    make_install,
    make_refused_attempt,
    make_run,
)

HIDDEN = "a\u202eb\u200bc\ufeff\u00a0\u3164"
CODES = "a⟨U+202E⟩b⟨U+200B⟩c⟨U+FEFF⟩⟨U+00A0⟩⟨U+3164⟩"
KEPT = re.compile(r"""\s(?:value|data-copy)="[^"]*"|<textarea\b.*?</textarea>""", re.DOTALL)


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("<p>Zoë… “x”\r\n\t</p>", "<p>Zoë… “x”\r\n\t</p>"),
        (f"<p title='{HIDDEN}'>{HIDDEN}</p>", f"<p title='{CODES}'>{CODES}</p>"),
        (f'<input value="{HIDDEN}">{HIDDEN}', f'<input value="{HIDDEN}">{CODES}'),
        (f'<button data-copy="\n{HIDDEN}">{HIDDEN}</button>', f'<button data-copy="\n{HIDDEN}">{CODES}</button>'),
        (f"<textarea rows=2>{HIDDEN}\n</textarea>{HIDDEN}", f"<textarea rows=2>{HIDDEN}\n</textarea>{CODES}"),
        (f"<p> value=&quot;{HIDDEN}&quot;</p>", f"<p> value=&quot;{CODES}&quot;</p>"),
        ("a\x00\x85\x1b", "a⟨U+0000⟩⟨U+0085⟩⟨U+001B⟩"),
        ("&nbsp;", "&nbsp;"),
    ],
)
def test_page_shows_what_nobody_sees_and_keeps_what_is_sent_back_or_copied(page: str, shown: str) -> None:
    assert shown_page(page.encode()).decode() == shown


def test_every_page_shows_what_outsiders_hide(support: User, client: Client) -> None:
    install = make_install(name=HIDDEN, app_name=HIDDEN, organization_id=HIDDEN, last_error=HIDDEN, token_name=HIDDEN)
    endpoint = make_endpoint(
        install=install, status="DISABLED", disabled_reason=HIDDEN, event_types=[HIDDEN], consecutive_failures=10,
        url=f"https://acme.example.com/{HIDDEN}", handler_url=f"https://acme.example.com/{HIDDEN}",
    )  # fmt: skip
    said = {"opentrain_id": f"dlv{HIDDEN}", "event_id": HIDDEN, "event_type": HIDDEN, "resource_id": HIDDEN}
    delivery = make_failed_delivery(endpoint=endpoint, body=f'{{"{HIDDEN}": "{HIDDEN}"}}'.encode(), **said)
    make_delivery(endpoint=endpoint, event_type=HIDDEN, resource_id=HIDDEN)
    make_attempt(
        delivery=delivery, ok=False, handler_url=f"https://acme.example.com/{HIDDEN}", response_head=HIDDEN.encode(),
        request_headers=[["X-A", HIDDEN]], response_headers=[["X-B", HIDDEN]],
    )  # fmt: skip
    make_refused_attempt(endpoint=endpoint, claimed_event_type=HIDDEN, request_headers=[["X-A", HIDDEN]])
    run = make_run(endpoint=endpoint, actor_name=HIDDEN, why=HIDDEN, note=HIDDEN, quoted=HIDDEN)
    channel = make_channel(install=install, name=HIDDEN, shown_as=HIDDEN, made_by_name=HIDDEN, email="a@b.example")
    make_alert(endpoint=endpoint, install_name=HIDDEN, endpoint_name=HIDDEN, words=HIDDEN)
    entry = make_entry(endpoint=endpoint, actor_name=HIDDEN, agent=HIDDEN, words=HIDDEN, quoted=HIDDEN)
    client.force_login(support)
    with_codes = []
    own = [f"/deliveries/{delivery.pk}/", f"/runs/{run.pk}/", f"/activity/{entry.pk}/"]
    for path in own + [one.path for one in addresses(endpoint=endpoint)]:
        response = client.get(path)
        if response["Content-Type"].startswith("text/html"):
            page = read(response)
            assert {char for char in KEPT.sub("", page) if not is_visible(char)} <= {"\n", "\t", "\r"}, path
            with_codes.append("⟨U+202E⟩" in page)
            assert response.headers.get("Content-Length", str(len(response.content))) == str(len(response.content))
    assert all(with_codes[: len(own)])
    assert sum(with_codes) > 30
    copied = read(client.get(own[0]))
    assert f'data-copy="dlv{HIDDEN}"' in copied
    assert f'value="{HIDDEN}"' in read(client.get(f"/alerts/channels/{channel.pk}/"))
