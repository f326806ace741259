"""Values that are stored, each with its label for people."""

from enum import StrEnum
from typing import Self


class LabelledEnum(StrEnum):
    """An enum whose members are written as their value and their label."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member
