"""Write docs/compatibility.md from the data of `infra.atc.generations`: `python -m infra.atc.compatibility`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.atc.generations import CHIPS, DEFAULT, FLAGS, GENERATIONS, HEAD, NAMES, within
from infra.atc.options import PRECISION_MODES
from infra.store.atomic import write_text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
_FIRST = ("Ascend310", "Ascend310B4", "Ascend310P3")  # the chips of the boards that the guides speak of


def page() -> str:
    """The page."""
    return "\n".join((*_head(), *_generations(), *_chips(), *_precisions(), *_flags(), *_boards(), ""))


def _head() -> Iterator[str]:
    yield "# What each CANN accepts"
    yield ""
    yield "Written from `infra/atc/generations.py` by `python -m infra.atc.compatibility`; a test compares them."
    yield f"The stand-in compiler plays what `atc.stand_in_cann` names, by default {DEFAULT}. Tags of evidence:"
    yield "**[C]** read in code or a document, **[P]** reported, **[U]** unconfirmed"
    yield "([reference](reference/README.md))."
    yield "Whoever has the real compiler can check and correct it: [real-atc.md](real-atc.md)."
    yield ""


def _generations() -> Iterator[str]:
    yield "## Generations"
    yield ""
    yield from _row("CANN", "ONNX opsets", "operator without a parser", "operators' packages", "evidence of the opsets")
    yield from _row(*["---"] * 5)
    for found in GENERATIONS.values():
        packages = "one for each chip" if found.operators_packages else "part of the toolkit"
        opsets = f"{found.opsets[0]} to {found.opsets[-1]}"
        yield from _row(found.name, opsets, found.unknown_operator, packages, found.opsets_source)
    yield ""


def _chips() -> Iterator[str]:
    yield "## Chips"
    yield ""
    yield from _row("chip", *NAMES, "bfloat16", "evidence")
    yield from _row(*["---"] * (len(NAMES) + 3))
    rest = [name for name in CHIPS if name not in _FIRST]
    for name in (*_FIRST, *rest):
        chip = CHIPS[name]
        known = ["yes" if within(cann, chip.first, chip.last) else "" for cann in NAMES]
        yield from _row(name, *known, "yes" if chip.bfloat16 else "", chip.source)
    yield ""


def _precisions() -> Iterator[str]:
    yield "## Precisions"
    yield ""
    plain = ", ".join(f"`{mode}`" for mode in PRECISION_MODES if "bf16" not in mode)
    yield f"Every chip takes {plain}. Modes with bfloat16 need a chip that has it; the stand-in knows them and refuses"
    yield "to compute them (E10055). `force_fp32` is reported to hang on Ascend310B4 [P]."
    yield ""


def _flags() -> Iterator[str]:
    yield "## Flags of the compiler"
    yield ""
    for first in ("5.1", "6.3", "9.0", HEAD):
        names = ", ".join(f"`{name}`" for name in sorted(FLAGS) if FLAGS[name] == first)
        since = "after 9.0 (head of the open compiler)" if first == HEAD else f"from {first} on"
        doubt = " [U: they came between 5.1 and 8.5]" if first == "6.3" else " [C]"
        yield f"* {since}{doubt}: {names}"
    yield ""
    yield "Not in this version of the stand-in, which says so (E10055): ranges of shapes, dynamic AIPP, outputs whose"
    yield "shape depends on values (NonZero, NonMaxSuppression), modes 5, 7 and 30, Caffe and TensorFlow. They are"
    yield "planned for 0.3."
    yield ""


def _boards() -> Iterator[str]:
    yield "## Compiler and board"
    yield ""
    yield "A board's CANN must be at least the compiler's, and at most four release cycles newer (ATC's manual of"
    yield "9.0 [C]). `atlasflow boards check` and every deployment check both."


def _row(*cells: str) -> Sequence[str]:
    return [f"| {' | '.join(cells)} |"]


if __name__ == "__main__":
    write_text(PAGE, page())
