"""The journal of a cache in the making: one line per finished sequence."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Progress:
    """How far a cache has come.

    Attributes:
        rows, clips, seconds: written so far; seconds where the rate is known.
        subjects, labels: number of each name, in the order of their first appearance.
        sequences: those that are finished, in their order -> clips written when they were.
    """

    rows: int = 0
    clips: int = 0
    seconds: float = 0.0
    subjects: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)


class Journal:
    """Lines that survive the end of the process; a last line cut short does not count.

    Attributes:
        progress: what the lines add up to, and what was added since.
    """

    def __init__(self, path: Path) -> None:
        self.progress = _replay(path)
        self._file = path.open("a")
        self._noted = len(self.progress.subjects), len(self.progress.labels)

    def note(self, sequence: str) -> None:
        """All rows of ``sequence`` are in the files."""
        now = self.progress
        subjects, labels = list(now.subjects), list(now.labels)
        line = {
            **{"sequence": sequence, "rows": now.rows, "clips": now.clips},
            **{"seconds": now.seconds, "subjects": subjects[self._noted[0] :]},
            "labels": labels[self._noted[1] :],
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self._noted = len(subjects), len(labels)
        now.sequences[sequence] = now.clips

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._file.close()


def _replay(journal: Path) -> Progress:
    state = Progress()
    lines = journal.read_text().split("\n") if journal.is_file() else []
    for line in lines[:-1]:  # without its line end, the last one was cut short
        entry = json.loads(line)
        state.rows, state.clips = entry["rows"], entry["clips"]
        state.seconds = entry["seconds"]
        for names, known in ((entry["subjects"], state.subjects), (entry["labels"], state.labels)):
            for name in names:
                known.setdefault(name, len(known))
        state.sequences[entry["sequence"]] = state.clips
    if lines and lines[-1]:
        journal.write_text("\n".join([*lines[:-1], ""]))
    return state
