"""Prefix search over the words of names and addresses, with PostgreSQL's built-in full-text indexes.

It uses no extension, because the embedded PostgreSQL has none.
"""

import re

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import F, Func, TextField, Value

MOST_WORDS = 8
_PUNCTUATION = "-._~:/?#[]@!$&'()*+,;=%|<>{}^`\\\""
_SPACE = re.compile(rf"[{re.escape(_PUNCTUATION)}\s\x00-\x1f]+")


def _plain(column: str | F | Func) -> Func:
    """Replace the column's punctuation with spaces: PostgreSQL's parser would keep hosts and paths in one piece."""
    blank = Value(" " * len(_PUNCTUATION))
    return Func(column, Value(_PUNCTUATION), blank, function="translate", output_field=TextField())


def words_in(*columns: str | F | Func) -> SearchVector:
    """Return the words of these columns. An index over the same columns serves it."""
    return SearchVector(*(_plain(column) for column in columns), config="simple")


def beginning_with(text: str) -> SearchQuery | None:
    """Return a query that matches if every word of the text is a word's prefix; None if the text has no words."""
    words = [word for word in _SPACE.split(text) if word][:MOST_WORDS]
    if not words:
        return None
    return SearchQuery(" & ".join(f"'{word}':*" for word in words), config="simple", search_type="raw")
