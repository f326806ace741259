"""Fields of a page's form, filled with what someone typed."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.filled_forms import FilledPage, fill

ACTION = "/channels/new/?install=1"
BOX, RADIO = '<input type="checkbox" name="k"', '<input type="radio" name="r"'


def form(fields: str, *, action: str = "/channels/new/?install=1#answer", more: str = "") -> str:
    return f'<main><p>é &amp; ü</p>\n<form method="post" action="{action}"{more}>\n{fields}</form></main>'


def filled(fields: str, *given: tuple[str, str], more: str = "") -> str:
    found = fill(form(fields, more=more), action=ACTION, fields=given)
    assert found is not None
    head, tail = form("@", more=more).split("@")
    assert found.html.startswith(head)
    assert found.html.endswith(tail)
    return found.html[len(head) : -len(tail)]


@pytest.mark.parametrize(
    ("fields", "given", "becomes"),
    [
        ('<input type="text" name="n" value="">', [("n", "a")], '<input type="text" name="n" value="a">'),
        ('<input name="n" required>', [("n", "a")], '<input name="n" required value="a">'),
        ('<input name="n" value="kept">', [("m", "a")], '<input name="n" value="kept">'),
        ('<input name="n" value="old">', [("n", "")], '<input name="n" value="">'),
        ('<input type="hidden" name="n" value="1">', [("n", "2")], '<input type="hidden" name="n" value="2">'),
        ('<input type="password" name="n">', [("n", "hush")], '<input type="password" name="n">'),
        (f'{BOX} value="a">', [("k", "a")], f'{BOX} value="a" checked>'),
        (f'{BOX} value="a" checked>', [("k", "b")], f'{BOX} value="a">'),
        (f"{BOX} checked>", [], f"{BOX}>"),
        (f"{BOX}>", [("k", "on")], f"{BOX} checked>"),
        (f'{RADIO} value="a" checked>', [("r", "b")], f'{RADIO} value="a">'),
        (f'{RADIO} value="a" checked>', [], f'{RADIO} value="a" checked>'),
        ("<textarea name='t'>old</textarea>", [("t", "a\n<b>")], "<textarea name='t'>\na\n&lt;b&gt;</textarea>"),
        (
            "<select name=s><option value=1 selected>x<option value=2>y</select>",
            [("s", "2")],
            '<select name=s><option value="1">x<option value="2" selected>y</select>',
        ),
        ('<datalist><option value="2"></datalist>', [("s", "2")], '<datalist><option value="2"></datalist>'),
        (
            '<input name="n"><input name="n"><input name="n">',
            [("n", "a"), ("n", "b")],
            '<input name="n" value="a"><input name="n" value="b"><input name="n">',
        ),
        (
            '<input name="n" data-x="&quot;&amp;">',
            [("n", "\"'<&")],
            '<input name="n" data-x="&quot;&amp;" value="&quot;&#x27;&lt;&amp;">',
        ),
    ],
)
def test_field_holds_what_was_typed(fields: str, given: list[tuple[str, str]], becomes: str) -> None:
    assert filled(fields, *given) == becomes


def test_other_forms_stay_as_they_are() -> None:
    page = '<form method="post" action="/other/"><input name="n"></form>'
    page += f'<form action="{ACTION}"><input name="n"></form>'
    assert fill(page, action=ACTION, fields=[("n", "a")]) is None


def test_each_form_of_the_action_is_filled() -> None:
    twice = form('<input name="n">') * 2
    found = fill(twice, action=ACTION, fields=[("n", "a")])
    assert found == FilledPage(form('<input name="n" value="a">') * 2, is_typed=True)


def test_field_outside_of_the_form_is_filled() -> None:
    page = form("", more=' id="f"') + '<input name="n" form="f"><input name="n" form="g">'
    found = fill(page, action=ACTION, fields=[("n", "a")])
    assert found is not None
    assert found.html.endswith('<input name="n" form="f" value="a"><input name="n" form="g">')


def test_folded_part_around_the_form_is_opened_and_no_other() -> None:
    page = f"<details><p></p></details><details class='a'>{form('')}</details><details></details>"
    found = fill(page, action=ACTION, fields=[])
    assert found is not None
    assert found.html == f'<details><p></p></details><details class="a" open>{form("")}</details><details></details>'


@pytest.mark.parametrize(
    ("fields", "given", "is_typed"),
    [
        ('<input type="hidden" name="n">', "n", False),
        ('<input name="n">', "n", True),
        ('<input type="checkbox" name="n" value="a">', "n", True),
        ('<input type="checkbox" name="n" value="a">', "m", False),
        ('<textarea name="n"></textarea>', "n", True),
        ('<select name="n"><option value="a"></select>', "n", True),
    ],
)
def test_it_says_whether_people_see_what_they_typed(fields: str, given: str, is_typed: bool) -> None:
    found = fill(form(fields), action=ACTION, fields=[(given, "a")])
    assert found is not None
    assert found.is_typed is is_typed


class _Values(HTMLParser):
    """Reads the values of a page's fields, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.tags = "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        if tag == "input":
            self.value = dict(attrs).get("value") or ""


@given(text=st.text())
def test_any_text_stays_in_its_field(text: str) -> None:
    read = _Values()
    read.feed(filled('<input name="n">', ("n", text)))
    assert (read.tags, read.value) == (1, text)


@given(page=st.text(alphabet='<>/="\n aformdetilsnpuxcvy&;!-'), text=st.text(max_size=5))
def test_no_page_is_too_strange(page: str, text: str) -> None:
    found = fill(f'<form method="post" action="{ACTION}">{page}', action=ACTION, fields=[("n", text)])
    assert found is not None
