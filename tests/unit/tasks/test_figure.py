import io

import matplotlib
import pytest

from tasks.figure import drawn


def picture(title: str = "title") -> bytes:
    content = io.BytesIO()
    with drawn(content, 3, 2) as figure:
        figure.subplots().set_title(title)
    return content.getvalue()


def test_equal_figures_have_equal_bytes_whatever_the_user_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    first = picture()
    assert first.startswith(b"\x89PNG")
    assert matplotlib.__version__.encode() not in first
    for name, value in {"font.size": 20, "axes.grid": True, "figure.dpi": 50}.items():
        monkeypatch.setitem(matplotlib.rcParams, name, value)
    assert picture() == first
    assert matplotlib.rcParams["font.size"] == 20
    assert picture("another") != first


def test_chinese_text_is_drawn_without_a_warning() -> None:
    assert picture("混淆矩阵") != picture("")


def test_nothing_is_written_when_drawing_fails() -> None:
    content = io.BytesIO()
    with pytest.raises(ZeroDivisionError), drawn(content, 3, 2):
        raise ZeroDivisionError
    assert content.getvalue() == b""
