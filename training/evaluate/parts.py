"""The parts of a long measurement: each is kept when it is finished, so that a run that was
stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vipe_core.cli.common import progress
from vipe_core.files import write_atomically


class Parts:
    """Finished parts in a folder, and a bar over all of them.

    A part is known by everything that its result depends on; a part of another model, seed
    or data set is another part.
    """

    def __init__(self, folder: Path | None, inputs: dict[str, Any] | None = None) -> None:
        """
        Args:
            folder: of the finished parts; None keeps nothing.
            inputs: what all parts depend on (hash of the data, seed, counts), for JSON.
        """
        self._folder = folder
        self._inputs = inputs or {}
        self._bar = progress(0, "part")

    def expect(self, count: int) -> None:
        """So many more parts are to come: the bar's end and the time left follow."""
        self._bar.total += count
        self._bar.refresh()

    def part(self, name: str, compute: Callable[[], Any], **inputs: Any) -> Any:
        """The result of ``compute``, JSON-able, from the folder if it is there.

        Args:
            name: for people; letters, digits and dashes.
            inputs: what this part depends on beside what all do.
        """
        self._bar.set_description(name)
        path = self._path(name, inputs)
        kept, result = _read(path) if path is not None else (False, None)
        if not kept:
            result = json.loads(json.dumps(compute()))
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(result).encode())
        self._bar.update()
        return result

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def _path(self, name: str, inputs: dict[str, Any]) -> Path | None:
        if self._folder is None:
            return None
        said = json.dumps(self._inputs | inputs, sort_keys=True)
        return self._folder / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.json"


def _read(path: Path) -> tuple[bool, Any]:
    """Whether a part is there whole, and its result. One that is damaged is computed again."""
    try:
        return True, json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False, None
