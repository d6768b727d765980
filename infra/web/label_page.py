"""The tab of the demo page on which people label pictures, with the mouse or the keys 1 to 9, S and U."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from infra.errors import AtlasFlowError
from infra.web import html as rendering
from infra.web.labels import Labels, Question

BUTTONS = 9  # as many as there are keys
DONE = "<p>No picture waits for a label. <code>atlasflow data collect</code> brings new ones from boards.</p>"
# A key presses the button that shows it, unless somebody types into a field.
KEYS = """() => document.addEventListener('keydown', event => {
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.ctrlKey || event.altKey || event.metaKey) return;
  const button = document.getElementById('label-' + event.key.toLowerCase());
  if (button && button.offsetParent) button.click();
})"""

Update = dict[Any, Any]


def build(labels: Labels, page: gr.Blocks) -> None:
    """Lay the tab out; `page` is the page around it."""
    shown: Any = gr.State(("", ()))
    picture = gr.HTML(elem_id="label-picture")
    with gr.Row(elem_id="label-classes"):
        buttons = [gr.Button(elem_id=f"label-{number + 1}", visible=False) for number in range(BUTTONS)]
    others = gr.Dropdown(list(labels.names), label="Another class", visible=False, elem_id="label-others")
    with gr.Row():
        skip = gr.Button("S  skip", elem_id="label-s")
        undo = gr.Button("U  undo", elem_id="label-u")
    does = _Events(labels, shown, picture, buttons, others)
    outputs = [shown, picture, others, *buttons]
    one: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "labels", "api_visibility": "private"}
    for number, button in enumerate(buttons):
        button.click(partial(does.choose, number), [shown], outputs, **one)
    others.select(does.choose_other, [shown, others], outputs, **one)
    skip.click(does.skip, [shown], outputs, **one)
    undo.click(does.undo, None, outputs, **one)
    page.load(does.show, None, outputs, js=KEYS, **one)


class _Events:
    """Callbacks of the tab: each does something, and shows the next picture."""

    def __init__(
        self, labels: Labels, shown: Any, picture: gr.HTML, buttons: Sequence[gr.Button], others: gr.Dropdown
    ) -> None:
        self._labels = labels
        self._shown = shown
        self._picture = picture
        self._buttons = buttons
        self._others = others

    def choose(self, number: int, shown: tuple[str, Sequence[str]]) -> Update:
        """Label the picture with the class of a button."""
        identifier, names = shown
        if number < len(names):
            return self._after(lambda: self._labels.label(identifier, names[number]))
        return self.show()

    def choose_other(self, shown: tuple[str, Sequence[str]], name: str | None) -> Update:
        """Label the picture with any class."""
        if name in self._labels.names and shown[0]:
            return self._after(lambda: self._labels.label(shown[0], str(name)))
        return self.show()

    def skip(self, shown: tuple[str, Sequence[str]]) -> Update:
        """Leave the picture unlabelled."""
        return self._after(lambda: self._labels.skip(shown[0])) if shown[0] else self.show()

    def undo(self) -> Update:
        """Take the last label or skip back."""
        return self._after(self._labels.undo)

    def show(self) -> Update:
        """Show the next picture."""
        return self._after(lambda: None)

    def _after(self, work: Callable[[], object]) -> Update:
        problem = ""
        try:
            work()
        except AtlasFlowError as error:
            problem = rendering.notice(str(error))
        question = self._labels.question()
        names = choices(question, self._labels.names)
        more = question is not None and len(names) < len(self._labels.names)
        texts = [f"{number}  {name}" for number, name in enumerate(names, 1)]
        return {
            self._shown: (question.id if question else "", names),
            self._picture: problem + (rendering.question(question) if question else DONE),
            self._others: gr.Dropdown(value=None, visible=more),
            **{
                button: gr.Button(texts[number] if number < len(texts) else "", visible=number < len(texts))
                for number, button in enumerate(self._buttons)
            },
        }


def choices(question: Question | None, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of the buttons: all, in their order, or the most probable ones where there are too many."""
    if question is None:
        return ()
    return tuple(names) if len(names) <= BUTTONS else tuple(name for name, _ in question.guess[:BUTTONS])
