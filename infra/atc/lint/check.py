"""Everything that can be said before a compilation: of the graph, the chips, the CANN and this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.atc.generations import generation
from infra.atc.lint import fixes, rules, target
from infra.atc.lint.findings import Finding
from infra.atc.toolkit import find_toolkits, toolkit_for
from infra.settings import Settings


def examine(path: Path, chips: Sequence[str], settings: Settings) -> Mapping[str, Sequence[Finding]]:
    """Findings by chip, for the compiler that would compile for it.

    Raises:
        UserError: the file is no ONNX file.
    """
    model, loading = fixes.load(path)
    toolkits = find_toolkits(settings.atc.toolkits) if settings.convert.compiler != "stand-in" else ()

    def of(soc: str) -> Sequence[Finding]:
        toolkit = toolkit_for(toolkits, soc)
        machine = target.this_machine(toolkit.home if toolkit else None)
        cann = generation(target.nearest(toolkit.version) if toolkit else settings.atc.stand_in_cann)
        return [*loading, *rules.lint(model, cann, [soc]), *target.examine(model, soc, machine)]

    return {soc: of(soc) for soc in chips}
