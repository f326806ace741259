"""The systemd units and compose.yaml: what has to agree in them, with each other and with the code."""

import re
from collections import defaultdict

import pytest

from dashboard.launch import site
from tests.launch.test_folder import ROOT

UNITS = ROOT / "dashboard" / "launch" / "systemd"
COMPOSE = (ROOT / "compose.yaml").read_text()


def unit(name: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in (UNITS / name).read_text().splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found[key].append(value)
    return found


def environment(name: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for line in unit(name)["Environment"] for pair in line.split())


RECEIVER, WEB, SOCKET = "redeliver-receiver@.service", "redeliver-web.service", "redeliver-receiver.socket"


def test_receivers_inherit_the_socket_and_stand_in_front_of_the_console() -> None:
    assert unit(RECEIVER)["Sockets"] == [SOCKET]
    assert unit(SOCKET)["Service"] == [RECEIVER.replace("@", "@a")]
    assert environment(RECEIVER)["RECEIVER_BIND"] == "fd://3"
    assert environment(RECEIVER)["RECEIVER_CONSOLE"] == environment(WEB)["RECEIVER_CONSOLE"]
    assert environment(RECEIVER)["RECEIVER_SPOOL_DIR"] == f"/var/lib/{unit(RECEIVER)['StateDirectory'][0]}"
    assert unit(RECEIVER)["StateDirectoryMode"] == ["0700"]


@pytest.mark.parametrize("name", [path.name for path in UNITS.iterdir() if path.suffix == ".service"])
def test_every_service_starts_again_for_ever(name: str) -> None:
    assert (unit(name)["Restart"], unit(name)["StartLimitIntervalSec"]) == (["always"], ["0"])


def test_receivers_have_the_time_to_finish_that_they_take() -> None:
    assert int(unit(RECEIVER)["TimeoutStopSec"][0]) > site.RECEIVER_END_S
    [grace] = re.findall(r"stop_grace_period: (\d+)s", COMPOSE)
    assert int(grace) > site.RECEIVER_END_S


def test_receivers_of_compose_keep_their_spools_in_a_volume_that_their_user_may_write_to() -> None:
    [folder] = re.findall(r"RECEIVER_SPOOL_DIR: ([^ ]+)", COMPOSE)
    assert f'volumes: ["receivers:{folder}"]' in COMPOSE
    assert f"--mode=0700 --owner=redeliver --group=redeliver {folder}\n" in (ROOT / "Containerfile").read_text()
    assert f"command: [python, {', '.join(site.receiver()[1:])}]" in COMPOSE


def test_receivers_of_compose_have_names_and_ports_of_their_own() -> None:
    assert re.findall(r"hostname: (receiver-\w)", COMPOSE) == ["receiver-a", "receiver-b"]
    ports = re.findall(r'ports: \["127\.0\.0\.1:(\d+):8000"\]', COMPOSE)
    assert len(ports) == len(set(ports)) == 3
