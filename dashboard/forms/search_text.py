"""The text of a search, as people paste it: one name or ID. Secrets are never searched for or shown."""

from dataclasses import dataclass, field

from dashboard.rules import pasted
from dashboard.rules.secret_texts import has_secret

LONGEST = 200
"""Characters of the search text that are used: no ID is longer."""


@dataclass(frozen=True, slots=True)
class SearchText:
    """What to search for, or `problem`: why it is not one name or ID. `text` is shown in the field.

    `words` is what was pasted, if `text` is only the ID of it: a name may be in it.
    `is_secret`: it looked like a secret, so nothing of it is kept. `is_cut`: it is the beginning of a longer text.
    """

    text: str = ""
    problem: str = ""
    is_secret: bool = False
    is_cut: bool = False
    words: str = field(default="", compare=False)

    @property
    def sought(self) -> str:
        """The text to look up; empty if there is nothing to look up."""
        return "" if self.problem else self.text

    @property
    def may_be_id(self) -> bool:
        """Whether the text may be an ID: one word with a digit."""
        return not any(char.isspace() for char in self.sought) and any(char.isdigit() for char in self.sought)


def read(pasted_text: str, *, what: str) -> SearchText:
    """Return the search text of a field or an address. `what` names what to paste: "name or ID"."""
    pasted_text = pasted_text.replace("\0", "")
    if has_secret(pasted.without_invisible(pasted_text)):
        return SearchText(is_secret=True)
    whole = pasted.term(pasted_text)
    text = whole[:LONGEST]
    is_cut = len(whole) > LONGEST
    try:
        found = pasted.identifier(text, what=what)
    except pasted.Unusable as error:
        return SearchText(text, problem=str(error), is_cut=is_cut)
    return SearchText(found, is_cut=is_cut, words="" if found == text else text)
