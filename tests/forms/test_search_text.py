"""The text of a search: what is looked up, what is shown, and what is neither."""

import pytest

from dashboard.forms.search_text import LONGEST, SearchText, read
from dashboard.rules.secret_texts import STARTS


@pytest.mark.parametrize("pasted", ["con_100001", " \u200bcon_100001\u00a0", "“con_100001”", "contractId: con_100001"])
def test_id_is_read_without_what_copying_adds(pasted: str) -> None:
    assert read(pasted, what="ID") == SearchText("con_100001")


def test_id_of_a_sentence_is_looked_up_and_a_name_may_be_in_all_of_it() -> None:
    found = read("why did con_100001… fail?", what="ID")
    assert (found, found.words) == (SearchText("con_100001"), "why did con_100001… fail?")
    assert read("acme labs", what="ID").words == ""


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("hidden", ["", "\0", "\u200b"])
def test_secret_is_neither_looked_up_nor_kept(start: str, hidden: str) -> None:
    found = read(f"é {start[:2]}{hidden}{start[2:]}{'s' * 20}", what="ID")
    assert (found, found.sought) == (SearchText(is_secret=True), "")


def test_several_ids_are_shown_but_not_looked_up() -> None:
    found = read("con_100001\ncon_100002", what="ID")
    assert found.problem == "This contains 2 lines. Paste only one ID."
    assert (found.text, found.sought) == ("con_100001\ncon_100002", "")


def test_long_text_is_cut_and_says_so() -> None:
    found = read("x" * 10_000, what="ID")
    assert (len(found.text), found.is_cut) == (LONGEST, True)


def test_nul_is_removed_and_markup_is_left_as_it_is() -> None:
    assert read("<b>con_1\0</b>", what="ID").sought == "<b>con_1</b>"
