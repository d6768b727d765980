"""Digests of code: a module and every first-party module that it can reach by imports.

The digest is taken over the syntax tree without positions, comments and docstrings, so that only a change of meaning
changes it, and Python 3.11 and 3.12 agree. Imports under `if TYPE_CHECKING:` do not exist at run time and are left out.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from infra.errors import AtlasFlowError
from infra.store.digests import text_digest

ROOMS = ("flows", "tasks", "models", "infra")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def closure(modules: Iterable[str], checkout: Path) -> dict[str, str]:
    """Path (relative to the checkout) to digest, for the modules and all that they import, directly or not.

    Raises:
        AtlasFlowError: one of `modules` is not in the checkout.
    """
    waiting = list(modules)
    for module in waiting:
        if _source(module, checkout) is None:
            raise AtlasFlowError(f"there is no module {module} in {checkout}")
    found: dict[str, str] = {}
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        path = _source(module, checkout)
        if module in seen:
            continue
        seen.add(module)
        waiting.extend(_parents(module))
        if path is not None:
            digest, imports = _examine(path, module, path.stat().st_mtime_ns)
            found[path.relative_to(checkout).as_posix()] = digest
            found.update(_compiled_sources(path, checkout))
            waiting.extend(imports)
    return dict(sorted(found.items()))


def _parents(module: str) -> Iterator[str]:
    """Importing `a.b.c` runs `a` and `a.b` too."""
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _source(module: str, checkout: Path) -> Path | None:
    base = checkout.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _compiled_sources(path: Path, checkout: Path) -> dict[str, str]:
    """C++ beside a package's `__init__.py` belongs to the package; every byte of it counts."""
    if path.name != "__init__.py":
        return {}
    sources = [*path.parent.glob("*.cc"), *path.parent.glob("*.h")]
    return {
        source.relative_to(checkout).as_posix(): text_digest(source.read_text(encoding="utf-8")) for source in sources
    }


@lru_cache(maxsize=512)
def _examine(path: Path, module: str, _mtime_ns: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imports = [name for name in _imports(tree, package) if name.split(".")[0] in ROOMS]
    return text_digest(canonical_source(tree)), tuple(imports)


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every module that may be imported; some are only names in one, and have no source of their own."""
    for node in _run_time_nodes(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        yield from names


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def canonical_source(node: object) -> str:
    """A text of a syntax tree that depends on its meaning alone, the same for every Python from 3.9 on."""
    if isinstance(node, list):
        return "[" + ",".join(canonical_source(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        kept = value
        if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            kept = value[1:]
        elif isinstance(node, ast.JoinedStr):  # 3.12 leaves empty pieces in some f-strings
            kept = [piece for piece in value if not (isinstance(piece, ast.Constant) and piece.value == "")]
        # `kind` marks u"" strings, `type_comment` is a comment, and 3.12 adds empty `type_params`.
        if name in ("kind", "type_comment") or (name == "type_params" and not value):
            continue
        fields.append(f"{name}={canonical_source(kept)}")
    return f"{type(node).__name__}({','.join(fields)})"
