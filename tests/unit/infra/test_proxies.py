import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.proxies import UNUSABLE, prepare, refuse_unusable


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, {}),
        ({"https_proxy": "http://p:3128"}, {"https_proxy": "http://p:3128"}),
        ({"HTTP_PROXY": "p:3128"}, {"HTTP_PROXY": "p:3128"}),
        ({"all_proxy": "socks5://p:1080"}, {UNUSABLE: "all_proxy"}),
        ({"ALL_PROXY": "socks://p:1080/", "http_proxy": "http://p"}, {"http_proxy": "http://p", UNUSABLE: "ALL_PROXY"}),
        ({"all_proxy": ""}, {"all_proxy": ""}),
    ],
)
def test_only_proxies_of_http_stay(given: dict[str, str], left: dict[str, str]) -> None:
    environment = dict(given)
    for _ in range(2):
        prepare(environment)
    assert {name: value for name, value in environment.items() if name.lower() != "no_proxy"} == left


def test_this_machine_is_added_to_what_is_asked_directly() -> None:
    environment = {"http_proxy": "http://p", "NO_PROXY": "intern.example, localhost"}
    prepare(environment)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intern.example,localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("variable", "address", "refused"),
    [
        ("all_proxy", "https://obs.example", True),
        ("https_proxy", "https://obs.example", True),
        ("http_proxy", "https://obs.example", False),
        ("ALL_PROXY", "http://127.0.0.1:9000", False),
        ("ALL_PROXY", "http://localhost:9000", False),
    ],
)
def test_the_outside_is_not_asked_around_a_proxy(
    monkeypatch: pytest.MonkeyPatch, variable: str, address: str, refused: bool
) -> None:
    monkeypatch.setenv(UNUSABLE, variable)
    if not refused:
        refuse_unusable(address)
        return
    with pytest.raises(UserError, match=f"{variable} names a proxy"):
        refuse_unusable(address)


@pytest.mark.program
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "socks://127.0.0.1:9/", "http://127.0.0.1:9"])
@pytest.mark.parametrize("name", ["all_proxy", "https_proxy", "http_proxy"])
def test_a_client_of_the_prefect_server_can_be_made_and_asks_it_directly(tmp_path: Path, name: str, proxy: str) -> None:
    """What httpx, Prefect's HTTP library, does with the variables that `prepare` leaves."""
    code = (
        "from infra.proxies import prepare; prepare()\n"
        "import httpx\n"
        "client = httpx.Client()\n"
        "print(client._transport_for_url(httpx.URL('http://127.0.0.1:4200')) is client._transport)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={name: proxy, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
