"""Hold the rule that imports only point down, by reading the source of every package.

    python tools/check_imports.py [ROOT]

Imports inside functions and under ``if TYPE_CHECKING`` count too: a lower floor must work
where an upper one is not installed. Exit status 1 and one line per wrong import.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# package -> (folder, top-level modules it must not import)
RULES: dict[str, tuple[str, frozenset[str]]] = {
    "vipe_core": ("vipe_core", frozenset({"torch", "rclpy", "vipe_training", "vipe_ros"})),
    "vipe_ros": ("ros_ws/src/vipe_ros", frozenset({"torch", "vipe_training"})),
    "vipe_training": ("training", frozenset({"rclpy", "vipe_ros"})),
}


def imported_modules(source: str) -> Iterator[tuple[int, str]]:
    """Line number and dotted name of every absolute import in ``source``.

    ``importlib.import_module("x")`` and ``__import__("x")`` with a literal name count.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and node.args and _is_dynamic_import(node.func):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def _is_dynamic_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


def violations(root: Path = ROOT) -> list[str]:
    """One line per import that points up, sorted by file."""
    found = []
    for package, (folder, forbidden) in RULES.items():
        for path in sorted((root / folder).rglob("*.py")):
            for line, module in imported_modules(path.read_text(encoding="utf-8")):
                if module.split(".")[0] in forbidden:
                    found.append(f"{path.relative_to(root)}:{line}: {package} imports {module}")
    return found


def main(argv: list[str]) -> int:
    """Print what is wrong; 0 when nothing is."""
    found = violations(Path(argv[0]).resolve() if argv else ROOT)
    print("\n".join(found) if found else "imports: all point down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
