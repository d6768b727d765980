"""Run the tests that a change can affect: `python -m tests.changed [--base REVISION] [--list] [PYTEST OPTIONS]`.

A test file depends on the modules that it imports, directly or not, on files that its text names, and on the
`conftest.py` files above it. Tests outside of `tests/unit` run whole programs, so they depend on all product code.
"""

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from infra.home import CHECKOUT
from infra.store.code_digest import PACKAGES, closure

TESTS = CHECKOUT / "tests"
# A change of these may change anything.
EVERYTHING = ("pyproject.toml", "requirements.lock", "requirements-dev.lock", "tests/conftest.py")
NO_TESTS = 5
"""Pytest's exit code when it ran no test."""


def main() -> int:
    """Run them; returns pytest's exit code, and 0 when there is nothing to test."""
    parser = argparse.ArgumentParser(prog="python -m tests.changed", description=__doc__)
    parser.add_argument("--base", default="origin/main", help="compare with where this branch left it")
    parser.add_argument("--list", action="store_true", help="print the test files and stop")
    options, further = parser.parse_known_args()
    selected = sorted(affected(changed_files(options.base)))
    print("\n".join(selected) or "no test file is affected")
    if options.list or not selected:
        return 0
    code = subprocess.run([sys.executable, "-m", "pytest", *further, *selected], cwd=CHECKOUT, check=False).returncode
    return 0 if code == NO_TESTS else code


def changed_files(base: str) -> set[str]:
    """Files that differ from the common ancestor with `base`, and new ones; relative to the checkout."""
    ancestor = _git("merge-base", base, "HEAD").strip()
    listings = (_git("diff", "--name-only", ancestor), _git("ls-files", "--others", "--exclude-standard"))
    return {line for listing in listings for line in listing.splitlines()}


def affected(changed: Iterable[str]) -> set[str]:
    """The test files that these files can affect, relative to the checkout."""
    paths = set(changed)
    tests = {path.relative_to(CHECKOUT).as_posix(): path for path in TESTS.rglob("test_*.py")}
    if paths & set(EVERYTHING):
        return set(tests)
    return {name for name, path in tests.items() if _depends(path, paths)}


def _depends(test: Path, changed: set[str]) -> bool:
    whole = not test.is_relative_to(TESTS / "unit")
    if whole and any(path.split("/")[0] in PACKAGES for path in changed):
        return True
    if changed & dependencies(test):
        return True
    text = test.read_text(encoding="utf-8")
    return any(_names(text, path) for path in changed)


def _names(text: str, path: str) -> bool:
    """True when a text names a file: a module by its dotted name, another file by its last name."""
    if path.endswith(".py"):
        return path.removesuffix(".py").replace("/", ".") in text
    return path.rpartition("/")[2] in text


@cache
def dependencies(test: Path) -> frozenset[str]:
    """The test file, the test modules and product modules that it reaches, and the `conftest.py` files above it."""
    parents = test.relative_to(CHECKOUT).parents
    waiting = [test, *(CHECKOUT / parent / "conftest.py" for parent in parents)]
    found: set[str] = set()
    product: set[str] = set()
    while waiting:
        path = waiting.pop()
        name = path.relative_to(CHECKOUT).as_posix()
        if name in found or not path.is_file():
            continue
        found.add(name)
        modules = _imports(path)
        waiting += [_file(module) for module in modules if module.startswith("tests.")]
        product |= {module for module in modules if module.split(".")[0] in PACKAGES}
    return frozenset(found | closure(filter(_exists, product), CHECKOUT).keys())


@cache
def _imports(path: Path) -> frozenset[str]:
    """Every module that a file may import; some are only names in one."""
    return frozenset(_imported(ast.parse(path.read_bytes())))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(module: str) -> Path:
    return CHECKOUT.joinpath(*module.split(".")).with_suffix(".py")


@cache
def _exists(module: str) -> bool:
    return _file(module).is_file() or (_file(module).with_suffix("") / "__init__.py").is_file()


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
