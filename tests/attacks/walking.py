"""Every URL of the site, read from the URL map, so that new ones are attacked automatically."""

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.converters import get_converters

from dashboard.models import AuditEntry, Endpoint
from tests.factories import (
    make_attempt,
    make_channel,
    make_contract,
    make_delivery,
    make_entry,
    make_finding,
    make_handover,
    make_link,
    make_refused_attempt,
    make_run,
    make_user,
)

PROBES = {"healthz", "readyz", "metrics"}


@dataclass(frozen=True)
class Address:
    name: str
    path: str
    view: Any


def addresses(*, endpoint: Endpoint) -> list[Address]:
    """Return every URL, filled with the IDs of existing objects: the endpoint, a delivery, a run and others."""
    delivery = make_delivery(endpoint=endpoint)
    make_attempt(delivery=delivery)
    make_refused_attempt(endpoint=endpoint)
    make_link(install=endpoint.install)
    contract = make_contract(install=endpoint.install, status="ended")
    make_finding(contract=contract, endpoint=endpoint)
    ids = {
        "installs": endpoint.install_id,
        "endpoints": endpoint.pk,
        "deliveries": delivery.pk,
        "hand-overs": make_handover(contract=contract, endpoint=endpoint).pk,
        "endpoint_pk": endpoint.pk,
        "event": "ended",
        "runs": make_run(endpoint=endpoint).pk,
        "activity": make_entry(endpoint=endpoint).pk,
        "contracts": contract.pk,
        "alerts": make_channel(install=endpoint.install).pk,
        "members": make_user(role="viewer").pk,
        "install_pk": endpoint.install_id,
        "operation": _operation(endpoint),
    }
    return [
        Address(name, reverse(name, kwargs=_arguments(route, pattern, ids)), pattern.callback)
        for name, route, pattern in _walk(get_resolver().url_patterns, "", "")
    ]


def _operation(endpoint: Endpoint) -> uuid.UUID:
    """Return the operation of a completed redelivery."""
    columns = {"action": "redeliver", "actor_name": "ana", "install": endpoint.install, "endpoint": endpoint}
    operation = AuditEntry.objects.create(phase="requested", **columns).operation
    AuditEntry.objects.create(phase="done", operation=operation, requeued=1, **columns)
    return operation


def _walk(patterns: list[Any], namespace: str, route: str) -> Iterator[tuple[str, str, URLPattern]]:
    for one in patterns:
        if isinstance(one, URLResolver):
            inner = f"{namespace}{one.namespace}:" if one.namespace else namespace
            yield from _walk(one.url_patterns, inner, route + str(one.pattern))
        elif one.name:
            yield namespace + one.name, route + str(one.pattern), one


def _arguments(route: str, pattern: URLPattern, ids: dict[str, Any]) -> dict[str, Any]:
    samples = {"int": 1, "slug": "stop", "str": "abc", "uuid": uuid.uuid4(), "path": "a/b"}
    kinds = {type(converter): name for name, converter in get_converters().items()}
    converters = getattr(pattern.pattern, "converters", {})
    if not converters:  # a regular expression, as in some URLs of allauth
        return dict.fromkeys(pattern.pattern.regex.groupindex, "abc")
    segment = route.partition("/")[0]
    number = ids.get(segment)
    unknown = [name for name, one in converters.items() if kinds[type(one)] == "int" and name not in ids]
    assert number or not unknown or segment == "accounts", f"tests/attacks/walking.py has no ID for {segment}/: {route}"
    return {
        name: ids[name]
        if name in ids
        else number
        if kinds[type(one)] == "int" and number and first
        else samples[kinds[type(one)]]
        for first, (name, one) in zip(
            itertools.chain([True], itertools.repeat(False)), converters.items(), strict=False
        )
    }
