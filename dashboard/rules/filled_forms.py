"""Put what someone typed back into a page's form.

The page is read as browsers read it, and only the tags of the form's fields change, so this works for every form, and a
new one has to remember nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

Attributes = list[tuple[str, str | None]]
_TICKED = frozenset({"checkbox", "radio"})
_LEFT_ALONE = frozenset({"password", "file", "submit", "button", "reset", "image"})


@dataclass(frozen=True, slots=True)
class FilledPage:
    """A page whose form holds the given fields. `is_typed`: some of them are fields that people see."""

    html: str
    is_typed: bool


def fill(page: str, *, action: str, fields: Iterable[tuple[str, str]]) -> FilledPage | None:
    """Return the page with the fields in each form that posts to `action`, a path; None if it has no such form.

    A box that the fields do not tick is cleared. Passwords stay empty. Folded parts around the form are opened. A field
    outside of its form (`form="…"`) is filled if it follows the form's beginning.
    """
    filling = _Filling(page, action=action, fields=fields)
    filling.feed(page)
    filling.close()
    return FilledPage(_replaced(page, filling.edits), filling.is_typed) if filling.was_found else None


def _replaced(page: str, edits: list[tuple[int, int, str]]) -> str:
    parts, at = [], 0
    for start, end, text in sorted(edits):
        parts += [page[at:start], text]
        at = end
    return "".join([*parts, page[at:]])


class _Filling(HTMLParser):
    """Collects the edits of a page: where a text begins and ends, and what replaces it."""

    def __init__(self, page: str, *, action: str, fields: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self.edits: list[tuple[int, int, str]] = []
        self.was_found = self.is_typed = False
        self._action = action
        self._given: dict[str, list[str]] = defaultdict(list)
        for name, value in fields:
            self._given[name].append(value)
        self._line_starts = [0, *(at + 1 for at, char in enumerate(page) if char == "\n")]
        self._form_ids: set[str] = set()
        self._is_inside = False
        self._waiting: dict[str, list[str]] = {}
        self._folded: list[tuple[int, int, Attributes]] = []
        self._select: list[str] | None = None
        self._text_from: tuple[int, str] | None = None

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "details":
            self._folded.append((self._at, self._after_tag, attrs))
        elif tag == "form":
            self._enter(told)
        elif not self._is_inside and told.get("form") not in self._form_ids:
            return
        elif tag == "input":
            self._input(told, attrs)
        elif tag == "select":
            self._select = self._given.get(told.get("name", ""))
        elif tag == "option" and self._select is not None and "value" in told:
            self._mark(tag, attrs, "selected", yes=told["value"] in self._select)
            self.is_typed = True
        elif tag == "textarea" and self._next(told) is not None:
            self._text_from = (self._after_tag, self._take(told))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        elif tag == "details" and self._folded:
            self._folded.pop()
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._text_from is not None:
            start, text = self._text_from
            self.edits.append((start, self._at, "\n" + escape(text)))  # browsers drop the first line end
            self._text_from, self.is_typed = None, True

    @property
    def _at(self) -> int:
        line, column = self.getpos()
        return self._line_starts[line - 1] + column

    @property
    def _after_tag(self) -> int:
        return self._at + len(self.get_starttag_text() or "")

    def _enter(self, told: dict[str, str]) -> None:
        self._is_inside = told.get("method") == "post" and told.get("action", "").partition("#")[0] == self._action
        if not self._is_inside:
            return
        self.was_found = True
        self._form_ids |= {told["id"]} if told.get("id") else set()
        self._waiting = {name: list(values) for name, values in self._given.items()}
        for start, end, attrs in self._folded:
            self.edits.append((start, end, _tag("details", [*attrs, ("open", None)])))
        self._folded = []  # each is opened once

    def _input(self, told: dict[str, str], attrs: Attributes) -> None:
        kind, name = told.get("type", "text"), told.get("name", "")
        if kind in _LEFT_ALONE:
            return
        if kind in _TICKED:
            if kind == "checkbox" or name in self._given:
                self._mark("input", attrs, "checked", yes=told.get("value", "on") in self._given.get(name, ()))
                self.is_typed |= name in self._given
            return
        if self._next(told) is None:
            return
        kept = [one for one in attrs if one[0] != "value"]
        self._change("input", [*kept, ("value", self._take(told))])
        self.is_typed |= kind != "hidden"

    def _next(self, told: dict[str, str]) -> str | None:
        values: Sequence[str] = self._waiting.get(told.get("name", ""), ())
        return values[0] if values else None

    def _take(self, told: dict[str, str]) -> str:
        """Return the next value of the field: several of one name get theirs in their order."""
        return self._waiting[told["name"]].pop(0)

    def _mark(self, tag: str, attrs: Attributes, name: str, *, yes: bool) -> None:
        kept = [one for one in attrs if one[0] != name]
        self._change(tag, [*kept, (name, None)] if yes else kept)

    def _change(self, tag: str, attrs: Attributes) -> None:
        self.edits.append((self._at, self._after_tag, _tag(tag, attrs)))


def _tag(name: str, attrs: Attributes) -> str:
    written = (f' {key}="{escape(value)}"' if value is not None else f" {key}" for key, value in attrs)
    return f"<{name}{''.join(written)}>"
