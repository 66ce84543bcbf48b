"""Keys of computations: hashes of code and settings.

A key covers the settings of a computation's objects, the weights of its networks, and the code of
every module of this project that it imports. It does not cover docstrings, comments, types, error
messages, and the modules that check arguments and files.
"""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path

from torch import Tensor, nn

_ROOT = Path(__file__).resolve().parents[1]
_OURS = ("harmonics_lib.", "experiments.")
_WITHOUT_NUMBERS = {"harmonics_lib.arguments", "harmonics_lib.checksums", "harmonics_lib.paths"}


def key(*parts) -> str:
    """Twelve hexadecimal digits for objects, functions, bytes and plain values, and for their code."""
    modules: set[str] = set()
    settings = "\n".join(_describe(part, modules) for part in parts)
    code = "\n".join(_source(module)[0] for module in sorted(_with_imports(modules)))
    return hashlib.sha256(f"{settings}\n{code}".encode()).hexdigest()[:12]


def _describe(value, modules: set[str]) -> str:
    """A value as text; the modules of its functions and classes are added to the set ``modules``."""
    inner = partial(_describe, modules=modules)
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, Tensor):  # of a test set, whose settings determine the values
        return str(value.dtype)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{inner(name)}: {inner(item)}' for name, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(inner, value))})"
    if isinstance(value, partial):
        return f"{inner(value.func)}{inner(value.args)}{inner(value.keywords)}"
    if not (callable(value) or is_dataclass(value)):
        return repr(value)
    kind = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    modules.add(kind.__module__)
    return f"{kind.__qualname__}{inner(_settings(value))}"


def _settings(value) -> dict:
    """The settings of an object or a function beside its code."""
    if isinstance(value, nn.Module):
        state = {name: tensor.float().numpy(force=True).tobytes() for name, tensor in value.state_dict().items()}
        return getattr(value, "settings", {}) | state
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.compare}
    return {}


def _with_imports(modules: set[str]) -> set[str]:
    """The modules of this project among these and among their direct and indirect imports."""
    known, new = set(), {module for module in modules if _file(module)}
    while new:
        known |= new
        new = {imported for module in new for imported in _source(module)[1]} - known
    return known


@cache
def _source(module: str) -> tuple[str, frozenset[str]]:
    """The code of a module without parts that cannot change a number, and its imports from this project."""
    tree = _Code().visit(ast.parse(_file(module).read_text(encoding="utf-8")))
    return ast.unparse(tree), frozenset(name for name in _imports(tree) if _file(name))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "harmonics_lib":
                raise ValueError(f"expected imports from the modules that define names, got: {ast.unparse(node)}")
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _file(module: str) -> Path | None:
    """The file of a module of this project that can change a number, or None."""
    path = (_ROOT / module.replace(".", "/")).with_suffix(".py")
    return path if module.startswith(_OURS) and module not in _WITHOUT_NUMBERS and path.exists() else None


class _Code(ast.NodeTransformer):
    """Removes docstrings, error messages and types from a module."""

    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Raise(self, node):
        return ast.Raise()

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_AnnAssign(self, node):
        return ast.Assign([node.target], self.visit(node.value or node.target), lineno=node.lineno)

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node):
        node.annotation = None
        return node
