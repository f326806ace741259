"""Orders of keys, and the key that is null."""

import json

import pytest

from dashboard.rules.doctor.key_orders import ORDERS, documented, event_first, indexes_moved, with_null

EVENT = {"id": 1, "type": 2, "apiVersion": 3, "createdAt": 4, "resourceId": 5, "jobId": None, "data": {}}


def keys_of(value: object) -> str:
    return json.dumps(value)


def by_name(value: object) -> object:
    return json.loads(json.dumps(value, sort_keys=True))


def test_event_comes_in_opentrains_order_and_unknown_keys_last() -> None:
    shuffled = {"new": 0} | by_name(EVENT)  # type: ignore[operator]
    assert keys_of(event_first(shuffled)) == keys_of(EVENT | {"new": 0})


def test_nested_objects_come_in_the_documented_order() -> None:
    contract = {"id": "c", "status": "active", "jobId": "j", "title": "t", "startDate": "s", "endDate": None}
    freelancer = {"opentrainUserId": "u", "displayName": "d", "country": "DE", "profileUrl": "p"}
    link = {"id": "l", "jobId": "j", "externalProjectId": "e", "externalProjectName": "n", "createdAt": "c"}
    event = EVENT | {"data": {"contract": contract, "freelancer": freelancer, "projectLink": link, "list": [link]}}
    assert keys_of(documented(by_name(event))) == keys_of(event)


def test_unknown_objects_keep_their_order() -> None:
    value = {"z": 1, "id": 2, "a": [{"y": 1, "b": 2}]}
    assert keys_of(documented(value)) == keys_of(value)


def test_missing_job_is_put_where_opentrain_puts_it() -> None:
    without = {name: value for name, value in EVENT.items() if name != "jobId"}
    assert [keys_of(value) for _how, value in with_null(without)] == [keys_of(EVENT)]
    assert list(with_null(EVENT)) == list(with_null([without])) == []


@pytest.mark.parametrize(
    "order", [["b", "10", "9"], ["b", "9", "10"], ["10", "9", "b"], ["b", "2", "10", "1"], ["a", "5", "b"]]
)
def test_order_before_javascript_is_among_those_tried(order: list[str]) -> None:
    def moved(names: list[str]) -> dict[str, int]:
        return dict.fromkeys(names, 0)

    javascripts = sorted(order, key=lambda name: (0, int(name)) if name.isdecimal() else (1, 0))
    tried = [keys_of(value) for _how, value in indexes_moved([moved(javascripts)])]
    assert keys_of([moved(order)]) in tried
    assert len(tried) == ORDERS


def test_value_without_such_keys_has_no_other_order() -> None:
    assert list(indexes_moved({"a": [{"b": 1}]})) == []
