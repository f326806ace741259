"""Disks that fail: a stand-in for the `os` of a module, and a helper that flips bits."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


class FaultyOs:
    """Is `os`, except for the functions that a test replaces."""

    def __init__(self, **replaced: Callable[..., Any]) -> None:
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def install(patch: pytest.MonkeyPatch, *modules: ModuleType, **replaced: Callable[..., Any]) -> None:
    for module in modules:
        patch.setattr(module, "os", FaultyOs(**replaced))


def failing(number: int) -> Callable[..., Any]:
    """Return a function that raises the OSError of a number."""

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def writing(*, room: int, then: int = errno.ENOSPC) -> Callable[..., int]:
    """Return an `os.write` of a disk that has room for a number of bytes."""
    left = room

    def write(descriptor: int, data: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(then, os.strerror(then))
        written = os.write(descriptor, data[:left])
        left -= written
        return written

    return write


def flip(path: Path, *, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)
