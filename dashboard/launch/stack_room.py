"""Room on a thread's stack, so that the speed of a page does not depend on how deep it is called.

CPython 3.11 to 3.13 keep the frames of a thread in chunks of 16 KiB. A call that does not fit gets a new chunk from the
kernel, and returns it when it ends. If the innermost calls of a template happen to be at that depth, each of them does
so: one middleware more or less, and a page can take three times as long (docs/measured.md, "Depth of the stack").
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")

_SLOTS = 2**17
"""Size of one frame, in pointers: 1 MiB. The chunk for it has 2 MiB; the frames of everything called fit in the rest.
Nothing of this is in memory before it is used."""


def with_room(call: Callable[_Given, _Returned], *args: _Given.args, **options: _Given.kwargs) -> _Returned:
    """Return `call(*args, **options)`, with all of its frames in one chunk."""
    return call(*args, **options)


with_room.__code__ = with_room.__code__.replace(co_stacksize=_SLOTS)
