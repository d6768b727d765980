"""Answers as HTML: a card with bars for each picture, and one table with all answers and latencies side by side."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from PIL import Image

from infra.web.demo import Answer, Pixels, Predictor
from infra.web.labels import Question

STYLE = """
.cards { display: flex; flex-wrap: wrap; gap: 1rem; margin-bottom: 1rem; }
.card { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 0.8rem; flex: 1 1 26rem; }
.card h3 { margin: 0 0 0.6rem; overflow-wrap: anywhere; }
.card .seen { image-rendering: pixelated; width: 128px; height: 128px; float: left; margin: 0 1rem 0.6rem 0; }
.card .who { margin: 0.5rem 0 0.2rem; font-weight: 600; }
.card .bars { overflow: hidden; }
.bar { display: grid; grid-template-columns: 6rem 1fr 4rem; gap: 0.5rem; align-items: center; line-height: 1.5; }
.bar .track { background: var(--background-fill-secondary); border-radius: 4px; height: 0.8rem; }
.bar .fill { background: var(--color-accent); border-radius: 4px; height: 100%; }
.bar .share { text-align: right; font-variant-numeric: tabular-nums; }
.side { border-collapse: collapse; width: 100%; }
.side caption { text-align: left; font-weight: 600; padding: 0.4rem 0; }
.side th, .side td { border: 1px solid var(--border-color-primary); padding: 0.3rem 0.6rem; text-align: left; }
.side td.number { text-align: right; font-variant-numeric: tabular-nums; }
.side td:last-child { overflow-wrap: anywhere; }
.side td:first-child { min-width: 7rem; max-width: 12rem; overflow-wrap: anywhere; }
#result, #provenance { overflow-x: auto; }
#examples .grid-container { grid-template-columns: repeat(5, minmax(0, 1fr)) !important; height: auto !important; }
#examples .caption-label { font-size: 0.65rem; padding: 0 0.2rem; max-width: 100%; }
#examples .grid-wrap { min-height: 0; max-height: none; }
.asked { display: block; max-width: 100%; width: 320px; height: 320px; object-fit: contain; margin: 0 auto 0.6rem; }
#label-picture p { text-align: center; }
.notice { border-left: 4px solid #d97706; background: var(--background-fill-secondary); padding: 0.5rem 0.8rem;
          margin-bottom: 0.8rem; }
@media (max-width: 600px) {
  .card { flex-basis: 100%; min-width: 0; padding: 0.5rem; }
  .card .seen { float: none; display: block; }
  .bar { grid-template-columns: minmax(3rem, 5rem) minmax(3rem, 1fr) 3.5rem; }
}
"""


@dataclass
class ClassifiedPicture:
    """A picture and the answers so far.

    Attributes:
        name: of the file, or of the example.
        pixels: as the networks get it.
        label: its true class, if known.
        note: about the picture.
        answers: predictor and its answer, or the text of its error.
    """

    name: str
    pixels: Pixels
    label: str = ""
    note: str = ""
    answers: list[tuple[Predictor, Answer | str]] = field(default_factory=list)


def results(pictures: Sequence[ClassifiedPicture], problems: Iterable[str], *, waiting: str = "") -> str:
    """Render all pictures with their answers.

    Args:
        pictures: in their order.
        problems: messages about files that could not be read.
        waiting: message while a predictor is asked; empty at the end.
    """
    parts = [notice(problem) for problem in problems]
    if pictures:
        parts.append(f'<div class="cards">{"".join(_card(picture) for picture in pictures)}</div>')
    if any(picture.answers for picture in pictures):
        parts.append(_side_by_side(pictures))
    if waiting:
        parts.append(f'<p class="waiting">{escape(waiting)}</p>')
    return "".join(parts)


def notice(text: str) -> str:
    """Render a message, such as what is wrong with a file."""
    return f'<div class="notice" role="alert">{escape(text)}</div>'


def question(asked: Question) -> str:
    """Render a picture that waits for its class, with what the model takes it for."""
    guess = ", ".join(f"{escape(name)} {share:.0%}" for name, share in asked.guess[:3])
    left = "the last one" if asked.left == 1 else f"{asked.left} wait"
    return (
        f'<img class="asked" src="{_address(asked.pixels)}" alt="the picture to label">'
        f"<p>From board {escape(asked.board)}; {left}. The model says: {guess}.</p>"
    )


def table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Render a table of texts; the columns in `numbers` are right-aligned."""
    right = set(numbers)
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=number' if index in right else ''}>{escape(cell)}</td>" for index, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="side"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _card(picture: ClassifiedPicture) -> str:
    title = escape(picture.name) + (f" (it is: {escape(picture.label)})" if picture.label else "")
    note = f"<p>{escape(picture.note)}</p>" if picture.note else ""
    seen = f'<img class="seen" src="{_address(picture.pixels)}" alt="the picture as the networks get it">'
    bars = "".join(_bars(predictor, answer) for predictor, answer in picture.answers)
    return f'<div class="card"><h3>{title}</h3>{note}{seen}<div class="bars">{bars}</div></div>'


def _bars(predictor: Predictor, answer: Answer | str) -> str:
    who = f'<div class="who">{escape(predictor.name)}</div>'
    if isinstance(answer, str):
        return who + notice(answer)
    return who + "".join(
        f'<div class="bar"><span>{escape(label)}</span>'
        f'<span class="track"><span class="fill" style="display:block;width:{share:.1%}"></span></span>'
        f'<span class="share">{share:.1%}</span></div>'
        for label, share in answer.top
    )


def _side_by_side(pictures: Sequence[ClassifiedPicture]) -> str:
    rows = [_row(picture, predictor, answer) for picture in pictures for predictor, answer in picture.answers]
    titles = ("picture", "who answers", "class", "confidence", "ms", "note")
    return table("Side by side", titles, rows, numbers=(3, 4))


def _row(picture: ClassifiedPicture, predictor: Predictor, answer: Answer | str) -> tuple[str, ...]:
    if isinstance(answer, str):
        return picture.name, predictor.name, "no answer", "", "", answer.partition("\n")[0]
    label, share = answer.top[0]
    notes = [answer.note, "stand-in: its latency has no meaning" if predictor.emulated else ""]
    note = "; ".join(note for note in notes if note)
    return picture.name, predictor.name, label, f"{share:.1%}", f"{answer.milliseconds:.2f}", note


def _address(pixels: Pixels) -> str:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
