"""The helper program on a board: its modules, and the command that starts it."""

import shlex
from pathlib import Path

from infra.settings import BoardSettings

AGENT = Path(__file__).parent / "agent"
# What looks after the releases of a board. Each module imports earlier ones only, here and in MODULES.
RELEASES = (
    "failure",
    "files",
    "manifest",
    "signature",
    "trust",
    "folders",
    "journal",
    "lock",
    "probation",
    "work",
    "releases",
    "fork",
)
# The part of the agent that the client sends.
MODULES = (*RELEASES, "facts", "counts", "observations", "unsure", "serve")

# The usual places of toolkits and runtimes (docs/reference/boards.md §5). A stand-in keeps what a board has in
# /usr/local below a folder of its own, which the variable names.
ROOT = "${ATLASFLOW_BOARD_ROOT:-}"
ENVIRONMENTS = tuple(
    f'"{place}/{folder}/set_env.sh"'
    for folder in ("cann", "ascend-toolkit", "nnrt", "nnae")
    for place in ("$HOME/Ascend", f"{ROOT}/usr/local/Ascend")
)
# Where boards without any script have their libraries and `acl`: an Atlas 500, and an Atlas 200 of old images.
LIBRARIES = tuple(
    f'"{ROOT}{folder}"'
    for folder in (
        "/home/data/miniD/driver/lib64",
        "/usr/local/Ascend/runtime/lib64",
        "/usr/local/Ascend/pyACL/python/site-packages/acl",
    )
)

# Loads the agent's modules from the first line of standard input and starts them. The process lives for seconds, and
# garbage collection would be a tenth of its cost.
BOOT = (
    "import gc,sys,types,json\ngc.disable()\n"
    "p=types.ModuleType('board');p.__path__=[];sys.modules['board']=p\n"
    "d=json.loads(sys.stdin.buffer.readline().decode())\n"
    "for n,t in d['modules']:\n"
    " m=types.ModuleType('board.'+n);m.__package__='board';sys.modules['board.'+n]=m\n"
    " exec(compile(t,n+'.py','exec'),m.__dict__)\n"
    "sys.modules['board.serve'].main(d['root'],d['idle'],d['as_root'])\n"
)


# Every login shell takes this: sh, bash, zsh, fish, csh, tcsh. What a shell of its own language must not see comes by
# standard input.
COMMAND = "exec /bin/sh"
READY = b"atlasflow is ready"


def helper_script(settings: BoardSettings) -> str:
    """The line for /bin/sh on the board: source the environment, print `READY`, start the helper.

    A non-interactive shell does not read .bashrc, so the script sources the toolkit's. It uses bash if there is one,
    because some of these scripts need it (docs/reference/pitfalls.md §8.13). The helper gets what is sent after
    `READY`: a shell may have read more of its standard input than the line that it executes.
    """
    candidates = shlex.quote(settings.environment) if settings.environment else " ".join(ENVIRONMENTS)
    script = (
        f"for f in {candidates}; do "
        'if [ -r "$f" ]; then . "$f" >/dev/null 2>&1; '
        "ATLASFLOW_ENVIRONMENT=$f; export ATLASFLOW_ENVIRONMENT; break; fi; "
        f'done; if [ -z "${{ATLASFLOW_ENVIRONMENT:-}}" ]; then for d in {" ".join(LIBRARIES)}; do '
        'if [ -d "$d" ]; then PYTHONPATH="$d${PYTHONPATH:+:$PYTHONPATH}"; export PYTHONPATH; '
        'LD_LIBRARY_PATH="$d${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; export LD_LIBRARY_PATH; fi; done; fi; '
        f"printf '\\n%s\\n' '{READY.decode()}'; exec {shlex.quote(settings.python)} -u -B -c {shlex.quote(BOOT)}"
    )
    return f'exec "$(command -v bash || echo /bin/sh)" -c {shlex.quote(script)}\n'
