"""The ports of services: chosen once, kept, and of one service each."""

import socket
from pathlib import Path

from infra.service_ports import Ports, owner


def test_a_port_is_chosen_once_and_kept(tmp_path: Path) -> None:
    first = Ports(tmp_path).of("one")
    assert Ports(tmp_path).of("one") == first
    assert Ports(tmp_path).of("two") != first
    assert 1024 < first < 55_000


def test_a_preferred_port_is_taken_when_it_is_free(tmp_path: Path) -> None:
    ports = Ports(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert ports.of("crowded", port) != port
    assert ports.of("lucky", port) == port
    assert ports.of("late", port) != port


def test_only_taken_ports_of_the_service_itself_are_replaced(tmp_path: Path) -> None:
    ports = Ports(tmp_path)
    free, front = ports.of("store-master"), ports.of("store-front")
    with socket.create_server(("127.0.0.1", ports.of("store"))), socket.create_server(("127.0.0.1", front)):
        assert ports.taken("store", ["store-front"]) == ["store"]
        before = ports.of("store")
        ports.replace_taken("store", ["store-front"])
        assert ports.of("store") != before
        assert (ports.of("store-master"), ports.of("store-front")) == (free, front)


def test_the_owner_of_a_port_has_the_longest_name_that_fits() -> None:
    assert owner("store-front-tls", ["store", "store-front", "other"]) == "store-front"
    assert owner("store", ["store-front"]) == ""
