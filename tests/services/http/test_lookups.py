"""Lookups that block, hang and fail, beside an event loop that goes on."""

import asyncio
import socket
import threading
import time

import pytest

from dashboard.services.http import lookups
from dashboard.services.http.lookups import Lookups, of_system
from tests.services.misbehaving import PATIENCE_S


class Names:
    """A resolver in which names hang until they are released. `asked` has every lookup."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.started = threading.Semaphore(0)
        self.release = threading.Event()

    def look_up(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        self.started.release()
        if host.startswith("slow"):
            self.release.wait(PATIENCE_S)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ("192.0.2.1", "2001:db8::1")


async def found(resolver: Lookups, host: str) -> list[str]:
    return [result["host"] for result in await resolver.resolve(host, 80)]


def test_look_up_by_the_system_returns_each_address_once() -> None:
    assert set(of_system("localhost")) <= {"127.0.0.1", "::1"}
    assert of_system("127.0.0.1") == ("127.0.0.1",)


def test_resolve_returns_addresses_in_the_order_of_the_lookup_with_the_port() -> None:
    async def main() -> None:
        assert [(each["host"], each["port"]) for each in await Lookups(Names().look_up).resolve("quick", 81)] == [
            ("192.0.2.1", 81), ("2001:db8::1", 81),
        ]  # fmt: skip

    asyncio.run(main())


def test_many_calls_for_one_slow_host_use_one_thread_and_delay_no_other_host_and_no_loop() -> None:
    names = Names()

    async def main() -> None:
        resolver = Lookups(names.look_up)
        waiting = [asyncio.create_task(found(resolver, "slow")) for _ in range(1000)]
        ticks = 0
        for number in range(100):
            assert await found(resolver, f"quick{number}")
            await asyncio.sleep(0)
            ticks += 1
        assert (ticks, sum(task.done() for task in waiting)) == (100, 0)
        names.release.set()
        assert {tuple(addresses) for addresses in await asyncio.gather(*waiting)} == {("192.0.2.1", "2001:db8::1")}

    asyncio.run(main())
    assert names.asked.count("slow") == 1


def test_lookups_over_the_limit_wait_for_one_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "LOOKUPS", 2)
    names = Names()

    async def main() -> None:
        resolver = Lookups(names.look_up)
        waiting = [asyncio.create_task(found(resolver, f"slow{number}")) for number in range(3)]
        for _ in range(2):
            assert await asyncio.to_thread(names.started.acquire, timeout=PATIENCE_S)
        assert sorted(names.asked) == ["slow0", "slow1"]
        names.release.set()
        await asyncio.gather(*waiting)

    asyncio.run(main())
    assert sorted(names.asked) == ["slow0", "slow1", "slow2"]


def test_caller_that_gives_up_leaves_the_lookup_to_the_others() -> None:
    names = Names()

    async def main() -> None:
        resolver = Lookups(names.look_up)
        other = asyncio.create_task(found(resolver, "slow"))
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await found(resolver, "slow")
        names.release.set()
        assert len(await other) == 2

    asyncio.run(main())
    assert names.asked == ["slow"]


def test_addresses_are_used_for_a_while_and_failures_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names()

    async def main() -> None:
        resolver = Lookups(names.look_up)
        for host in ("quick", "quick", "unknown", "unknown"):
            try:
                await found(resolver, host)
            except socket.gaierror:
                assert host == "unknown"
        monkeypatch.setattr(lookups, "KEEP_S", 0)
        await found(resolver, "quick")

    asyncio.run(main())
    assert names.asked == ["quick", "unknown", "unknown", "quick"]


def test_forget_drops_addresses_only_if_they_were_found_before() -> None:
    names = Names()

    async def main() -> None:
        resolver = Lookups(names.look_up)
        before = time.monotonic()
        await found(resolver, "quick")
        assert not resolver.forget("quick", found_before=before)
        assert resolver.forget("quick", found_before=time.monotonic() + 1)
        assert not resolver.forget("quick", found_before=time.monotonic() + 1)
        await found(resolver, "quick")

    asyncio.run(main())
    assert names.asked == ["quick", "quick"]


def test_hosts_that_are_kept_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "HOSTS_KEPT", 2)
    names = Names()

    async def main() -> None:
        resolver = Lookups(names.look_up)
        for host in ("a", "b", "c", "a", "c"):
            await found(resolver, host)

    asyncio.run(main())
    assert names.asked == ["a", "b", "c", "a"]


@pytest.mark.parametrize("addresses", [(), UnicodeError])
def test_name_without_an_address_or_that_is_no_name_is_not_found(addresses) -> None:
    def look_up(_host: str) -> tuple[str, ...]:
        if addresses is UnicodeError:
            raise UnicodeError
        return ()

    with pytest.raises(socket.gaierror):
        asyncio.run(found(Lookups(look_up), "nowhere"))


def test_close_gives_up_a_lookup_that_hangs_at_once() -> None:
    names = Names()

    async def main() -> None:
        resolver = Lookups(names.look_up)
        waiting = asyncio.create_task(found(resolver, "slow"))
        await asyncio.sleep(0.01)
        await resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < PATIENCE_S / 2
    names.release.set()
