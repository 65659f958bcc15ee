"""Write the tables of the README that come out of the code, or say which are out of date.

    python -m tools.readme            # write them
    python -m tools.readme --check    # exit status 1 and a line per table that differs

A table lies between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from tools.launch_runner.files import arguments_table
from vipe_ros import parameters, services, topics

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TABLES: dict[str, Callable[[], str]] = {
    "topics": topics.table,
    "services": services.table,
    "parameters": parameters.table,
    "launch": lambda: arguments_table(ROOT / "launch" / "vipe.launch.py"),
}


def filled(text: str, tables: dict[str, str]) -> str:
    """The text with every table in its place.

    Raises:
        ValueError: a place is missing.
    """
    for name, table in tables.items():
        place = re.compile(rf"(<!-- begin {name} -->\n).*?(\n<!-- end {name} -->)", re.DOTALL)
        text, found = place.subn(lambda match, table=table: f"{match[1]}{table}{match[2]}", text)
        if found != 1:
            raise ValueError(f"{found} places for the table {name}, 1 needed")
    return text


def main(argv: list[str]) -> int:
    """Write or check."""
    text = README.read_text(encoding="utf-8")
    made = {name: table() for name, table in TABLES.items()}
    if "--check" not in argv:
        README.write_text(filled(text, made), encoding="utf-8")
        return 0
    stale = [name for name, table in made.items() if filled(text, {name: table}) != text]
    for name in stale:
        print(f"README: the table {name} is out of date; run: python -m tools.readme")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
