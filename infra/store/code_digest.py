"""Digests of code: a module and every first-party module that it can reach by imports.

A digest covers the syntax tree without positions, comments and docstrings (also those of constants), so only a change
of meaning changes it, and Python 3.11 and 3.12 agree. Imports under `if TYPE_CHECKING:` do not happen at run time and
are left out.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from infra.errors import AtlasFlowError
from infra.store.digests import text_digest

PACKAGES = ("flows", "tasks", "models", "infra")


def closure(modules: Iterable[str], checkout: Path) -> dict[str, str]:
    """Return the digests of the modules and of all modules that they import, by path relative to the checkout.

    Raises:
        AtlasFlowError: one of `modules` is not in the checkout.
    """
    pending = list(modules)
    for module in pending:
        if _source(module, checkout) is None:
            raise AtlasFlowError(f"there is no module {module} in {checkout}")
    found: dict[str, str] = {}
    seen: set[str] = set()
    while pending:
        module = pending.pop()
        if module in seen:
            continue
        seen.add(module)
        path = _source(module, checkout)
        pending.extend(_parents(module))
        if path is not None:
            digest, imports = _examine(path, module, path.stat().st_mtime_ns)
            found[path.relative_to(checkout).as_posix()] = digest
            found.update(_compiled_sources(path, checkout))
            pending.extend(imports)
    return dict(sorted(found.items()))


def _parents(module: str) -> Iterator[str]:
    """Return the parent packages: importing `a.b.c` runs `a` and `a.b`, too."""
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _source(module: str, checkout: Path) -> Path | None:
    base = checkout.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _compiled_sources(path: Path, checkout: Path) -> dict[str, str]:
    """Return the digests of C++ files in the folder of a package's `__init__.py`: they belong to the package."""
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
    imports = [name for name in _imports(tree, package) if name.split(".")[0] in PACKAGES]
    return text_digest(canonical_source(tree)), tuple(imports)


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield every module that may be imported; some are only names in a module, without a source file."""
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
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            pending.extend(node.orelse)
        else:
            pending.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def canonical_source(node: object) -> str:
    """Return a text of a syntax tree that depends only on its meaning, the same for every Python from 3.9 on."""
    if isinstance(node, list):
        return "[" + ",".join(canonical_source(item) for item in node if not _is_docstring(item)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        kept = value
        if isinstance(node, ast.JoinedStr):  # 3.12 leaves empty pieces in some f-strings
            kept = [piece for piece in value if not (isinstance(piece, ast.Constant) and piece.value == "")]
        # `kind` marks u"" strings, `type_comment` is a comment, and 3.12 adds empty `type_params`.
        if name in ("kind", "type_comment") or (name == "type_params" and not value):
            continue
        fields.append(f"{name}={canonical_source(kept)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _is_docstring(node: object) -> bool:
    """True for a statement that is only a string: of a module, a class, a function or a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
