"""The demo page in Gradio. Imported only when it is served: Gradio is heavy and optional."""

import logging
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from infra.errors import AtlasFlowError, UserError
from infra.web import html as rendering
from infra.web import label_page
from infra.web.demo import Answer, Demo, Pixels, Predictor
from infra.web.html import ClassifiedPicture
from infra.web.pictures import MOST_BYTES, MOST_PICTURES, is_upload, open_picture

log = logging.getLogger(__name__)

WAITING = 16  # waiting requests; one is answered at a time, so that latencies are comparable
_FORGET_SECONDS = 600  # age at which uploaded files are deleted
_ENLARGED = 96  # pixels of an example on the page
# System fonts: the page loads nothing from outside.
THEME = gr.themes.Base(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
EMPTY = "<p>Drop a picture, or take one of the examples.</p>"


def build(demo: Demo, uploads: Path) -> gr.Blocks:
    """Lay the page out; uploaded files are below the folder `uploads`."""
    page: gr.Blocks
    with gr.Blocks(title=demo.title, analytics_enabled=False, delete_cache=(60, _FORGET_SECONDS)) as page:
        gr.HTML(f"<h1>{escape(demo.title)}</h1><p>{escape(demo.summary)}</p>", elem_id="head")
        with gr.Tabs():
            with gr.Tab("Classify"):
                _classify(demo, uploads)
            if demo.labels is not None:
                with gr.Tab("Label", id="label"):
                    label_page.build(demo.labels, page)
    page.queue(max_size=WAITING, api_open=False)
    return page


def _classify(demo: Demo, uploads: Path) -> None:
    names = [predictor.name for predictor in demo.predictors]
    shown = gr.State([], time_to_live=_FORGET_SECONDS)
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            limits = f"up to {MOST_PICTURES} at once, {MOST_BYTES / 2**20:.0f} MB each"
            upload = gr.File(label=f"Pictures ({limits})", file_count="multiple", elem_id="upload", height=160)
            chosen = gr.CheckboxGroup(names, value=names, label="Who answers", elem_id="chosen")
            examples = _examples(demo)
        with gr.Column(scale=3, min_width=280):
            result = gr.HTML(EMPTY, elem_id="result")
    gr.HTML(rendering.table("Origin of the model", ("what", "value"), demo.provenance), elem_id="provenance")
    does = _Events(demo, uploads)
    one: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "answers", "api_visibility": "private"}
    upload.upload(does.uploaded, [upload, chosen], [upload, shown, result], **one)
    examples.select(does.picked, [chosen], [shown, result], **one)
    chosen.change(does.again, [shown, chosen], [result], **one)


def _examples(demo: Demo) -> gr.Gallery:
    gr.HTML("<p>Or take one of the evaluation images, shown with their true classes:</p>")
    return gr.Gallery(
        [(_enlarged(example.pixels), example.label) for example in demo.examples],
        show_label=False,
        elem_id="examples",
        columns=5,
        height="auto",
        format="png",
        allow_preview=False,
        interactive=False,
        buttons=[],
    )


class _Events:
    """Callbacks of the page: each method gives new values for the outputs that it is connected with."""

    def __init__(self, demo: Demo, uploads: Path) -> None:
        self._demo = demo
        self._uploads = uploads

    def uploaded(
        self, paths: list[str] | None, names: list[str]
    ) -> Iterator[tuple[None, list[ClassifiedPicture], str]]:
        """Classify dropped files, and clear the drop zone."""
        pictures, problems = read(self._demo, [Path(path) for path in paths or ()], self._uploads)
        for html in answered(pictures, problems, self._chosen(names)):
            yield None, pictures, html

    def picked(self, names: list[str], event: gr.SelectData) -> Iterator[tuple[list[ClassifiedPicture], str]]:
        """Classify a chosen example."""
        if not isinstance(event.index, int) or not 0 <= event.index < len(self._demo.examples):
            yield [], rendering.notice("there is no such example")
            return
        example = self._demo.examples[event.index]
        pictures = [ClassifiedPicture(f"example {event.index + 1}", example.pixels, example.label)]
        for html in answered(pictures, (), self._chosen(names)):
            yield pictures, html

    def again(self, pictures: list[ClassifiedPicture], names: list[str]) -> Iterator[str]:
        """Classify the same pictures with other predictors."""
        yield from answered(pictures, (), self._chosen(names))

    def _chosen(self, names: Sequence[str]) -> list[Predictor]:
        return [predictor for predictor in self._demo.predictors if predictor.name in names]


def read(demo: Demo, paths: Sequence[Path], uploads: Path) -> tuple[list[ClassifiedPicture], list[str]]:
    """Open uploaded files; returns the pictures, and a message for each other file.

    Nothing outside the folder `uploads` is opened.
    """
    if len(paths) > MOST_PICTURES:
        return [], [f"{len(paths)} files are too many at once: drop up to {MOST_PICTURES}"]
    pictures, problems = [], []
    for path in paths:
        if not is_upload(path, uploads):
            problems.append(f"{path.name} was not uploaded, or is deleted: drop it again")
            continue
        try:
            opened = open_picture(path, path.name, demo.prepare)
        except UserError as error:
            problems.append(f"{error.message}: {error.hint}")
        else:
            pictures.append(ClassifiedPicture(path.name, opened.pixels, note=opened.note))
    return pictures, problems


def answered(
    pictures: Sequence[ClassifiedPicture], problems: Sequence[str], predictors: Sequence[Predictor]
) -> Iterator[str]:
    """Ask the predictors one after the other; yields the whole result as HTML after each, errors included."""
    for picture in pictures:
        picture.answers.clear()
    if pictures and not predictors:
        problems = [*problems, "no predictor is chosen: choose who answers"]
    for predictor in predictors if pictures else ():
        yield rendering.results(pictures, problems, waiting=f"asking {predictor.name} …")
        for picture in pictures:
            picture.answers.append((predictor, _answer(predictor, picture.pixels)))
    yield rendering.results(pictures, problems) or EMPTY


def _answer(predictor: Predictor, pixels: Pixels) -> Answer | str:
    try:
        return predictor.answer(pixels)
    except AtlasFlowError as error:
        return str(error)
    except Exception:  # any error of a runtime; the others still answer
        log.exception("%s could not answer", predictor.name)
        return f"{predictor.name} could not answer this picture; the log of the demo says why. Try another picture."


def _enlarged(pixels: Pixels) -> Image.Image:
    picture = Image.fromarray(pixels)
    factor = max(1, -(-_ENLARGED // picture.size[0]))
    return picture.resize((picture.size[0] * factor, picture.size[1] * factor), Image.Resampling.NEAREST)
