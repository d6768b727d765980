"""Find the chips to compile for: those of the settings, else those of the boards in `deploy.boards`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.errors import Transient, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.settings import Settings
    from tasks.engine.stage import StageContext


def soc_versions(settings: Settings) -> tuple[str, ...]:
    """The chips, each once, in their order in the settings; empty without chips and boards."""
    named = settings.convert.soc_versions or tuple(
        settings.boards[name].soc for name in settings.deploy.boards if name in settings.boards
    )
    return tuple(dict.fromkeys(named))


def check_boards(context: StageContext, socs: Sequence[str]) -> None:
    """Ask each real board for its chip before the compilation.

    A board that does not answer is reported; the preflight of the deployment checks it again.

    Raises:
        UserError: there is no chip, or a board has a chip that is not among `socs`.
    """
    if not socs:
        raise UserError(
            "there is no chip to compile for",
            hint="set convert.soc_versions (such as '[\"Ascend310\"]'), or name boards in deploy.boards",
        )
    for name in context.settings.deploy.boards:
        board = context.settings.boards.get(name)
        if board is None or not board.address:
            continue  # a stand-in has the chip of the settings
        try:
            found = context.world.board(name).facts().soc_version
        except Transient as error:
            context.reporter.line("convert", f"board {name} cannot be asked for its chip now: {error.message}")
            continue
        if found and found not in socs:
            raise UserError(
                f"board {name} has {found}, but the settings compile for {', '.join(socs)}",
                hint=f'set boards.{name}.soc = "{found}", or add {found} to convert.soc_versions',
            )
