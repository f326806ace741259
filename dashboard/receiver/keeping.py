"""Where attempts are kept."""

from dataclasses import dataclass
from enum import StrEnum


class NotKept(Exception):
    """Neither the database nor the spool can keep the attempt: OpenTrain must send it again."""


class Place(StrEnum):
    DATABASE = "database"
    SPOOL = "spool"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where the next attempt would be kept, with words for people."""

    place: Place
    words: str

    @property
    def ok(self) -> bool:
        """Whether it would be kept."""
        return self.place is not Place.NOTHING
