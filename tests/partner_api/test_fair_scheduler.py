"""Fair scheduling: windows and slots; no claim is lost or held twice, in any order of events."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.partner_api.fair_scheduler import Ask, Rota


def claim(rota: Rota, *, due: dict[str, int]) -> dict[str, int]:
    """Let every endpoint that the rota asks give what it has due; return the counts by endpoint."""
    given_now = {}
    for ask in rota.asks():
        count = min(ask.count, due[ask.endpoint_id])
        due[ask.endpoint_id] -= count
        given_now[ask.endpoint_id] = count
        rota.took(ask, count=count)
    return given_now


def answer(rota: Rota, endpoint_id: str, *, times: int, seconds: float = 0.01, timed_out: bool = False) -> None:
    for _ in range(times):
        rota.learned(endpoint_id, ok=not timed_out, timed_out=timed_out, seconds=seconds)
        rota.freed(endpoint_id)


def test_a_window_begins_with_two_and_doubles_with_each_quick_success_up_to_the_limit() -> None:
    rota, due = Rota(slots=100, per_endpoint=10), {"a": 50}
    rota.add(due)
    windows = []
    for _ in range(3):
        windows.append(claim(rota, due=due)["a"])
        answer(rota, "a", times=windows[-1])
    assert windows == [2, 8, 10]


def test_a_time_out_leaves_one_slot_and_a_slow_answer_halves() -> None:
    rota, due = Rota(slots=100, per_endpoint=8), {"a": 90, "b": 90}
    rota.add(due)
    for _ in range(3):
        for endpoint_id, count in claim(rota, due=due).items():
            answer(rota, endpoint_id, times=count)
    assert claim(rota, due=due) == {"a": 8, "b": 8}
    answer(rota, "a", times=7)
    answer(rota, "a", times=1, timed_out=True)
    answer(rota, "b", times=7)
    answer(rota, "b", times=1, seconds=3.0)
    assert claim(rota, due=due) == {"a": 1, "b": 4}


def test_slow_endpoints_together_hold_half_of_the_slots_at_most() -> None:
    names = [f"slow-{number}" for number in range(20)]
    rota, due = Rota(slots=10, per_endpoint=4), dict.fromkeys(names, 50) | {"well": 50}
    for name in names:
        rota.learned(name, ok=False, timed_out=True, seconds=10)
    rota.add(due)
    assert claim(rota, due=due) == dict.fromkeys(names[:5], 1) | {"well": 2}


def test_an_endpoint_that_had_less_than_was_asked_for_leaves_and_may_come_again() -> None:
    rota = Rota(slots=10, per_endpoint=4)
    rota.add(["a"])
    assert claim(rota, due={"a": 0}) == {"a": 0}
    assert (rota.waiting, rota.asks()) == (False, [])
    rota.add(["a"])
    assert rota.asks() == [Ask(endpoint_id="a", count=2, held=0)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    slots=st.integers(1, 12),
    per_endpoint=st.integers(1, 6),
    data=st.data(),
)
def test_everything_due_is_claimed_once_and_no_limit_is_passed(
    sizes: list[int], slots: int, per_endpoint: int, data: st.DataObject
) -> None:
    rota = Rota(slots=slots, per_endpoint=per_endpoint)
    due = {str(number): size for number, size in enumerate(sizes)}
    held = dict.fromkeys(due, 0)
    rota.add(due)
    while any(due.values()) or any(held.values()):
        for endpoint_id, count in claim(rota, due=due).items():
            held[endpoint_id] += count
        assert sum(held.values()) == rota.held <= slots
        assert max(held.values()) <= per_endpoint
        busy = sorted(endpoint_id for endpoint_id, count in held.items() if count)
        assert busy or rota.waiting, "a turn that neither claims nor waits never ends"
        if not busy:
            continue
        ending = data.draw(st.sampled_from(busy))
        answer(rota, ending, times=1, timed_out=data.draw(st.booleans()), seconds=data.draw(st.sampled_from([0.1, 2])))
        held[ending] -= 1
    assert rota.held == 0
