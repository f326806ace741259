"""Searching names and addresses by the beginnings of their words, through PostgreSQL's own full-text indexes.

Nothing here needs an extension: the embedded PostgreSQL has none.
"""

import re

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Func, TextField, Value

MOST_WORDS = 8
_PUNCTUATION = "-._~:/?#[]@!$&'()*+,;=%|<>{}^`\\\""
_SPACE = re.compile(rf"[{re.escape(_PUNCTUATION)}\s\x00-\x1f]+")


def _plain(column: str) -> Func:
    """The column with spaces for punctuation: PostgreSQL's parser would keep hosts and paths in one piece."""
    blank = Value(" " * len(_PUNCTUATION))
    return Func(column, Value(_PUNCTUATION), blank, function="translate", output_field=TextField())


def words_in(*columns: str) -> SearchVector:
    """Return the words of these columns; an index over the same columns answers for it."""
    return SearchVector(*(_plain(column) for column in columns), config="simple")


def beginning_with(text: str) -> SearchQuery | None:
    """Return what matches where every word of the text is the beginning of a word; None for a text without words."""
    words = [word for word in _SPACE.split(text) if word][:MOST_WORDS]
    if not words:
        return None
    return SearchQuery(" & ".join(f"'{word}':*" for word in words), config="simple", search_type="raw")
