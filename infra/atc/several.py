"""One compiler out of several toolkits: each chip is compiled by the toolkit that has its operators."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.atc.client import AtcCompiler
from infra.atc.generations import ordered
from infra.atc.toolkit import Toolkit, toolkit_for
from infra.ports.compilation import CompileRequest
from infra.ports.values import OnLine, Producer


@dataclass(frozen=True)
class SeveralToolkits:
    """The port `Compiler` over several toolkits.

    Attributes:
        toolkits: in the order of preference.
        compilers: the `atc` of each.
    """

    toolkits: Sequence[Toolkit]
    compilers: Sequence[AtcCompiler]

    def producer(self) -> Producer:
        """All of them; the version is the newest, which a board's CANN must reach."""
        newest = max((toolkit.version for toolkit in self.toolkits), key=ordered)
        details = {f"toolkit {index}": toolkit.version for index, toolkit in enumerate(self.toolkits, 1)}
        pythons = sorted({toolkit.python for toolkit in self.toolkits})
        return Producer("atc", newest, emulated=False, details={"python": " ".join(pythons), **details})

    def compile(self, request: CompileRequest, lines: OnLine) -> None:
        """Compile with the toolkit of the request's chip; see `AtcCompiler.compile`."""
        chosen = toolkit_for(self.toolkits, request.soc_version)
        for toolkit, compiler in zip(self.toolkits, self.compilers, strict=True):
            if toolkit is chosen:
                compiler.compile(request, lines)
