import asyncio
import stat
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from infra.web.access import HEALTH, Access, Message, Receive, Scope, Send, token_of, with_token

TOKEN = "a-token"


async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


async def nothing() -> Message:
    return {}


def ask(
    path: str = "/", *, method: str = "GET", query: str = "", listens: str = "127.0.0.1", **headers: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of an answer; the page listens on `listens`."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "127.0.0.1:7860", **headers}
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(Access(page, TOKEN, listens)(scope, nothing, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.fixture
def session() -> str:
    """The cookie that the token is exchanged for."""
    cookie = ask(query=f"token={TOKEN}")[1][b"set-cookie"].decode()
    assert "HttpOnly" in cookie
    assert "SameSite" in cookie
    name, morsel = next(iter(SimpleCookie(cookie).items()))
    return f"{name}={morsel.value}"


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(session: str) -> None:
    status, headers, _ = ask("//runs/1", query=f"a=1&token={TOKEN}&b=%26")
    assert (status, headers[b"location"]) == (303, b"/runs/1?a=1&b=%26")
    assert session == "atlasflow-7860=" + session.partition("=")[2]
    assert TOKEN not in session
    assert ask(cookie=f"other=1; {session}")[::2] == (200, b"page")


@pytest.mark.parametrize("query", ["", "token=", "token=another", "token=%C3%BC"])
def test_nothing_is_shown_without_the_token(query: str) -> None:
    assert ask(query=query)[0] == 401
    assert ask(query=query, cookie="atlasflow-7860=x")[0] == 401
    assert ask(query=query, cookie="=;")[0] == 401
    assert ask(query=f"token={TOKEN}", method="POST")[0] == 401


def test_health_needs_no_token_and_shows_nothing() -> None:
    assert ask(HEALTH)[::2] == (200, b"")


@pytest.mark.parametrize(
    ("listens", "names", "others"),
    [
        ("127.0.0.1", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860"], ["other.example:7860", "10.0.0.2", "", "["]),
        ("0.0.0.0", ["10.0.0.2:7860", "[fe80::1]", "localhost"], ["other.example"]),  # noqa: S104
        ("board.example", ["board.example:80", "10.0.0.2"], ["other.example"]),
    ],
)
def test_only_the_machine_s_own_names_are_answered(listens: str, names: list[str], others: list[str]) -> None:
    assert {name: ask(HEALTH, listens=listens, host=name)[0] for name in names} == dict.fromkeys(names, 200)
    assert {name: ask(HEALTH, listens=listens, host=name)[0] for name in others} == dict.fromkeys(others, 400)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7860", 200),
        ("http://127.0.0.1:4200", 403),
        ("http://127.0.0.1", 403),
        ("https://other.example", 403),
        ("null", 403),
    ],
)
def test_a_page_of_another_origin_gets_nothing_though_it_has_the_cookie(origin: str, status: int, session: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        assert ask(method=method, cookie=session, origin=origin)[0] == status


def test_web_sockets_are_refused_and_the_start_of_the_server_is_passed_on() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Access(page, TOKEN, "127.0.0.1")({"type": "websocket"}, nothing, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    asyncio.run(Access(page, TOKEN, "127.0.0.1")({"type": "lifespan"}, nothing, send))
    assert sent[-1]["body"] == b"page"


def test_a_home_has_one_secret_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    token = token_of(tmp_path)
    assert len(token) >= 32
    assert token_of(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "secrets" / "web").stat().st_mode) == 0o600
    assert with_token("http://127.0.0.1:80/", token) == f"http://127.0.0.1:80/?token={token}"
