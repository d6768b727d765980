from typing import Any

import numpy as np

from infra.web.demo import Answer, Predictor
from infra.web.html import ClassifiedPicture, results, table

PIXELS = np.zeros((4, 4, 3), np.uint8)


def judged(answer: Any, *, emulated: bool = False, **more: Any) -> Any:
    return ClassifiedPicture(
        "cat.png", PIXELS, answers=[(Predictor("ONNX", lambda _: answer, emulated), answer)], **more
    )


def test_answers_are_shown_as_bars_and_side_by_side() -> None:
    html = results([judged(Answer((("cat", 0.75), ("dog", 0.25)), 1.234), label="cat")], ())
    assert "cat.png (it is: cat)" in html
    assert html.count('class="bar"') == 2
    assert "width:75.0%" in html
    assert "<td>ONNX</td><td>cat</td><td class=number>75.0%</td><td class=number>1.23</td><td></td>" in html
    assert 'src="data:image/png;base64,' in html


def test_a_stand_in_says_that_its_time_means_nothing() -> None:
    html = results([judged(Answer((("cat", 0.75),), 1.0, "release 12"), emulated=True)], ())
    assert "<td>release 12; stand-in: its latency has no meaning</td>" in html


def test_who_cannot_answer_says_why_and_the_others_stay() -> None:
    html = results([judged("board b is away\n  → switch it on")], ())
    assert "<td>no answer</td>" in html
    assert "<td>board b is away</td>" in html
    assert "switch it on" in html


def test_what_people_bring_is_escaped() -> None:
    name = "<script>alert(1)</script>.png"
    html = results([ClassifiedPicture(name, PIXELS)], [f"{name} is empty"], waiting="asking <b>")
    assert "<script>" not in html
    assert "<b>" not in html
    assert html.count("&lt;script&gt;") == 2
    assert "<td>&lt;i&gt;</td>" in table("<u>", ("a",), [("<i>",)])


def test_without_pictures_there_is_no_table() -> None:
    assert results([], ()) == ""
    assert "<table" not in results([], ["x is empty"])
