"""Calls of the observations API as the receiver takes them, without its server."""

import json
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDict

from dashboard.receiver import observations


@dataclass(frozen=True)
class Told:
    """The answer, read as those of Django's test client."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    def __getitem__(self, name: str) -> str:
        return self.headers[name]

    def json(self) -> Any:
        return json.loads(self.content)


def observe(
    *,
    key: str | None = None,
    items: object = (),
    body: bytes | None = None,
    whole: bool = True,
    method: str = "POST",
    content_type: str = "application/json",
    is_plain: bool = False,
    headers: dict[str, str] | None = None,
) -> Told:
    """Make one call, with `items` or with a body of other bytes."""
    data = json.dumps({"observations": items}).encode() if body is None else body
    sent: CIMultiDict[str] = CIMultiDict({"Content-Type": content_type})
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    sent.update(headers or {})
    call = observations.Call(method, sent, is_plain, lambda limit: (data[: limit + 1], whole))
    answer = observations.take(call)
    return Told(int(answer.status), answer.headers, json.dumps(answer.said).encode())
