"""What endpoints are called, and what tells those apart that have the same title."""

import pytest

from dashboard.rules.endpoint_titles import NEW_SECRET, OLD_SECRET, Titled, base_title, marks, place, with_mark


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://acme.example.com/hooks/opentrain", "acme.example.com/hooks/opentrain"),
        ("https://acme.example.com/", "acme.example.com"),
        ("http://localhost:8080/hook/?token=[redacted]#top", "localhost:8080/hook"),
        ("https://[redacted]@acme.example.com/hook@home", "acme.example.com/hook@home"),
        ("https://acme.example.com?to=https://b.example.com/", "acme.example.com"),
        ("whe_7", "whe_7"),
        ("", ""),
    ],
)
def test_place_is_the_host_and_the_path(url: str, shown: str) -> None:
    assert place(url) == shown


def test_place_of_a_receiver_never_has_its_key() -> None:
    url = "https://redeliver.example.com/base/hooks/a-key/"
    assert place(url, hides_end=True) == "redeliver.example.com/base/hooks/…"


def test_name_that_people_gave_comes_before_the_place() -> None:
    assert base_title(name="Billing", place="acme.example.com/hook") == "Billing"
    assert base_title(name="", place="acme.example.com/hook") == "acme.example.com/hook"
    assert base_title(name="", place="a" * 100, most=40) == "a" * 39 + "…"


def test_mark_follows_the_title() -> None:
    assert with_mark("Billing", "…123456") == "Billing (…123456)"
    assert with_mark("Billing", "") == with_mark("Billing", None) == "Billing"


def test_only_endpoints_with_the_same_title_are_marked() -> None:
    found = marks([Titled(1, "Hook", "whe_000001"), Titled(2, "hook", "whe_000002"), Titled(3, "other", "whe_000003")])
    assert found == {1: "…000001", 2: "…000002", 3: ""}
    assert marks([Titled(1, "caf\u00e9", "w1"), Titled(2, "Cafe\u0301", "w2")]) == {1: "w1", 2: "w2"}


def test_ids_that_end_alike_are_shown_whole_and_a_short_one_as_it_is() -> None:
    ids = ("whe_a000001", "whe_b000001", "w7", "")
    found = marks(Titled(number, "a", one) for number, one in enumerate(ids, start=1))
    assert found == {1: "whe_a000001", 2: "whe_b000001", 3: "w7", 4: "being registered"}


def test_deleted_endpoint_is_marked_but_marks_no_other() -> None:
    found = marks([Titled(1, "a", "whe_000001", is_deleted=True), Titled(2, "a", "whe_000002")])
    assert found == {1: "…000001", 2: ""}
    assert marks([Titled(1, "a", "whe_000001", is_deleted=True)]) == {1: ""}


def test_endpoints_of_a_rotation_say_which_secret_they_have() -> None:
    old, new = Titled(1, "a", "whe_000001", secret=OLD_SECRET), Titled(2, "a", "", secret=NEW_SECRET)
    assert marks([old, new, Titled(3, "a", "whe_000003")]) == {1: "old secret", 2: "new secret", 3: "…000003"}
