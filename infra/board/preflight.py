"""The preflight: check what a board reports about itself before a byte goes there."""

import re
from collections.abc import Iterator

from infra.atc.generations import CYCLES, runs_on
from infra.board.answers import AgentFacts
from infra.board.cann import older
from infra.ports.board import BoardFacts
from infra.ports.release import Release
from infra.ports.upkeep import Finding, Level, Step
from infra.settings import BoardSettings

FACTORY_PASSWORDS = {"Mind@123"}  # docs/reference/boards.md §5
LITTLE_BYTES = 256 * 1024 * 1024
OLDEST_PILLOW = (5, 1)  # of Ubuntu 18.04; older ones are not tried
PILLOW_THAT_TURNS = (6, 2)  # older ones do not read the orientation of every PNG and TIFF
PILLOW_WITH_TURBO = (9, 0)  # wheels of older ones decode JPEG by another library (docs/your-images.md)
CANN_WITH_NUMPY_2, CANN_OF_TODAY = "8.3.RC1", "8.5"
PYTHONS = (3, 7), (3, 13)  # of CANN_OF_TODAY
SPARE_BYTES = 16 * 1024 * 1024  # what a board needs besides the files of a release: journal, links, pictures


def examine_facts(facts: AgentFacts, settings: BoardSettings, release: Release | None = None) -> list[Finding]:
    """Check a board's facts.

    Args:
        facts: as the agent reports them.
        settings: of the board.
        release: to be installed there; None checks the board alone.
    """
    return [
        _login(facts, settings),
        _devices(facts),
        _space(facts.board, release),
        *_modules(facts, release),
        _toolkit(facts),
        _npu(facts.board),
        _chip(facts.board, settings, release),
        _cann(facts.board, release),
        _emulation(facts.board, release),
    ]


def refuse(name: str, facts: AgentFacts, settings: BoardSettings, release: Release) -> None:
    """Refuse a release that does not fit the board.

    Raises:
        Refused: with the first reason.
    """
    for finding in examine_facts(facts, settings, release):
        if finding.level is Level.WRONG:
            raise finding.error(f"board {name}: {finding.found}", hint=finding.hint, board=name)


def _login(facts: AgentFacts, settings: BoardSettings) -> Finding:
    password = settings.password.get_secret_value()
    user = facts.user
    if password in FACTORY_PASSWORDS:
        return Finding(
            Step.LOGIN,
            Level.NOTE,
            f"{user} still has the published factory password",
            "change it on the board (passwd), create a key (ssh-keygen -t ed25519) and log in with it",
        )
    if password:
        return Finding(
            Step.LOGIN, Level.NOTE, f"{user}, with a password", "a key is safer: ssh-keygen -t ed25519, ssh-copy-id"
        )
    return Finding(Step.LOGIN, Level.GOOD, f"{user}, with a key")


def _devices(facts: AgentFacts) -> Finding:
    groups = " ".join(facts.groups)
    closed = ", ".join(facts.closed_devices)
    if closed:
        return Finding(
            Step.GROUPS,
            Level.WRONG,
            f"{facts.user} ({groups}) may not open {closed}",
            f"sudo usermod -aG HwHiAiUser {facts.user}, then log in again",
        )
    return Finding(Step.GROUPS, Level.GOOD, groups)


def _space(facts: BoardFacts, release: Release | None) -> Finding:
    free = facts.free_bytes
    needed = 0 if release is None else sum(file.size for file in release.files.values()) + SPARE_BYTES
    found = f"{free // 2**20} MB free"
    if free < needed:
        return Finding(
            Step.SPACE,
            Level.WRONG,
            f"{found}, {needed // 2**20} MB are needed",
            "`atlasflow boards prune` removes old releases",
        )
    if free < LITTLE_BYTES:
        return Finding(Step.SPACE, Level.NOTE, f"only {found}", "`atlasflow boards prune` removes old releases")
    return Finding(Step.SPACE, Level.GOOD, found)


def _modules(facts: AgentFacts, release: Release | None) -> Iterator[Finding]:
    python = facts.board.python
    problems = {module: problem for module, problem in facts.problems.items() if module != "acl"}
    for module, problem in problems.items():
        yield Finding(
            Step.PYTHON,
            Level.WRONG,
            f"Python {python} cannot import {module}: {problem}",
            f"install {'pillow' if module == 'PIL' else module} on the board for Python {python}, "
            "or set the board's `python` to another one",
        )
    if not problems:
        yield _pillow(facts, release)


def _pillow(facts: AgentFacts, release: Release | None) -> Finding:
    """Whether pictures become the same pixels there as here."""
    found = f"{facts.board.python} with numpy and Pillow {facts.pillow}"
    version = _version(facts.pillow)
    if version < OLDEST_PILLOW:
        oldest = ".".join(map(str, OLDEST_PILLOW))
        return Finding(
            Step.PYTHON, Level.WRONG, f"{found}; {oldest} is the oldest allowed", f"install pillow>={oldest} there"
        )
    if version < PILLOW_THAT_TURNS:
        hint = "install pillow>=6.2 there, or send only JPEG pictures and those that stand upright"
        return Finding(
            Step.PYTHON, Level.NOTE, f"{found}, which ignores the EXIF orientation of some PNG and TIFF pictures", hint
        )
    made = "" if release is None else release.pillow
    if made and (version < PILLOW_WITH_TURBO) != (_version(made) < PILLOW_WITH_TURBO):
        found += (
            f"; Pillow {made} decoded the pictures of the data set, and JPEG files may become slightly other values"
        )
        return Finding(Step.PYTHON, Level.NOTE, found, f"install pillow=={made} there, or 9.0 or later on both sides")
    return _numpy(facts, found)


def _version(text: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def _numpy(facts: AgentFacts, found: str) -> Finding:
    """Whether the toolkit's Python parts stand this NumPy and this Python (docs/reference/boards.md §5)."""
    cann = facts.board.cann
    if older(cann, CANN_WITH_NUMPY_2) and older(facts.numpy, "2.0") is False:
        hint = 'if an operator fails with "np.float_": pip install "numpy<2" there'
        return Finding(Step.PYTHON, Level.NOTE, f"{found}; NumPy {facts.numpy} breaks CANN up to 8.2", hint)
    python = _version(facts.board.python)
    if older(cann, CANN_OF_TODAY) is False and not PYTHONS[0] <= python <= PYTHONS[1]:
        hint = "set the board's `python` to one from 3.7.5 to 3.13"
        return Finding(Step.PYTHON, Level.NOTE, f"{found}; pyACL of CANN {cann} is for 3.7 to 3.13", hint)
    return Finding(Step.PYTHON, Level.GOOD, found)


def _toolkit(facts: AgentFacts) -> Finding:
    problem, script = facts.problems.get("acl"), facts.environment
    if problem and script:
        hint = f"is the toolkit complete, and installed for Python {facts.board.python}?"
        return Finding(
            Step.TOOLKIT, Level.WRONG, f"{script} was sourced, but Python cannot import acl: {problem}", hint
        )
    if problem:
        return Finding(
            Step.TOOLKIT,
            Level.WRONG,
            f"Python cannot import acl: {problem}; there is no set_env.sh in the usual places",
            "set the board's `environment` to the toolkit's script; .bashrc is not read here",
        )
    if not script:
        return Finding(Step.TOOLKIT, Level.GOOD, "acl can be imported without any script")
    return Finding(Step.TOOLKIT, Level.GOOD, f"{script} was sourced")


def _npu(facts: BoardFacts) -> Finding:
    npu = facts.npu
    if facts.virtual:
        return Finding(
            Step.NPU,
            Level.NOTE,
            f"{npu or 'no table'}; {', '.join(facts.virtual)} is a virtual NPU, a part of a chip",
            "compile for it: convert.options.virtual_type=1 (docs/boards.md, section 8)",
        )
    if not npu:
        return Finding(Step.NPU, Level.NOTE, "npu-smi shows no chip", "log in and try `npu-smi info`")
    if any(not chip.endswith(" OK") for chip in npu.split(", ")):
        return Finding(Step.NPU, Level.NOTE, npu, "some healthy boards report Alarm (docs/reference/boards.md §5)")
    return Finding(Step.NPU, Level.GOOD, npu)


def _chip(facts: BoardFacts, settings: BoardSettings, release: Release | None) -> Finding:
    soc = facts.soc_version
    wanted = settings.soc if release is None else release.soc_version
    if release is not None and soc != wanted:
        return Finding(
            Step.CHIP,
            Level.WRONG,
            f"it has {soc or 'an unknown chip'}, release {release.id} is for {wanted}",
            f"compile for {soc or 'the name that npu-smi info shows'} (convert.soc_versions)",
        )
    if not soc:
        return Finding(Step.CHIP, Level.WRONG, "neither npu-smi nor acl knows the chip", "look at `npu-smi info`")
    if soc != wanted:
        return Finding(Step.CHIP, Level.NOTE, f"{soc}, but its entry says {wanted}", f'set the board\'s soc = "{soc}"')
    return Finding(Step.CHIP, Level.GOOD, f"{soc}, {facts.architecture}")


def _cann(facts: BoardFacts, release: Release | None) -> Finding:
    """A board's CANN is at least the compiler's and at most four cycles newer (docs/reference/atc.md §3.3)."""
    board = facts.cann
    if release is None or not release.cann:
        return (
            Finding(Step.CANN, Level.GOOD, board) if board else Finding(Step.CANN, Level.NOTE, "the version is unknown")
        )
    if older(board, release.cann):
        return Finding(
            Step.CANN,
            Level.WRONG,
            f"it has CANN {board}, release {release.id} was compiled by CANN {release.cann}",
            "compile with a toolkit that is not newer than the board's, or update the board",
        )
    if older(board, release.cann) is None and facts.emulated and release.emulated:
        return Finding(Step.CANN, Level.GOOD, "a plain stand-in runs what any generation compiled")
    if older(board, release.cann) is None:
        return Finding(Step.CANN, Level.NOTE, f"'{board}' cannot be compared with the compiler's {release.cann}")
    if runs_on(release.cann, board) is False:
        return Finding(
            Step.CANN,
            Level.NOTE,
            f"it has CANN {board}; {release.id} was compiled by {release.cann}, more than {CYCLES} cycles older",
            "compile again with a newer toolkit: an old .om is promised to run for four release cycles",
        )
    return Finding(Step.CANN, Level.GOOD, f"{board}, not older than the compiler's {release.cann}")


def _emulation(facts: BoardFacts, release: Release | None) -> Finding:
    if release is not None and release.emulated and not facts.emulated:
        return Finding(
            Step.STAND_IN,
            Level.WRONG,
            f"it is a real board, and a stand-in compiler made release {release.id}",
            'compile the model with Huawei\'s atc (convert.compiler = "atc")',
        )
    if release is not None and facts.emulated and not release.emulated:
        return Finding(
            Step.STAND_IN,
            Level.WRONG,
            f"it is a stand-in, and release {release.id} was compiled for hardware",
            "compile it with the stand-in compiler, or deploy to a real board",
        )
    return Finding(Step.STAND_IN, Level.GOOD, "it is a stand-in" if facts.emulated else "it is real")
