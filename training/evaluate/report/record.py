"""How a result was measured: everything that it takes to measure it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vipe_core.errors import VipeError
from vipe_core.files import write_atomically
from vipe_training.evaluate.report.findings import Findings

RESULTS = "results.json"
_FORMAT = 1


@dataclass(frozen=True)
class Record:
    """One run of a suite. It holds no date, so that the same run gives the same file.

    Attributes:
        suite: its name.
        command: the exact command line.
        seed: of poses, cameras and noise.
        poses: how many to measure on, at most.
        models: row name -> "name version, SHA-256 of the file".
        data: motion file or cache -> SHA-256 of the file, or of the cache's ``index.json``,
            which holds the SHA-256 of every field.
        people: of the data, if not all.
        versions: of Python and the packages that compute.
        code: SHA-256 of the measuring code, first 12 digits.
    """

    suite: str
    command: str
    seed: int
    poses: int
    models: dict[str, str]
    data: dict[str, str]
    people: list[str]
    versions: dict[str, str]
    code: str

    def lines(self) -> list[tuple[str, str]]:
        """Name and value of each, in words."""
        found = [("suite", self.suite), ("command", self.command)]
        found += [(f"model {name}", value) for name, value in self.models.items()]
        found += [(f"data {name}", f"SHA-256 {value}") for name, value in self.data.items()]
        if self.people:
            found.append(("people", ", ".join(self.people)))
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [
            *found,
            ("poses", f"at most {self.poses}"),
            ("seed", str(self.seed)),
            ("versions", f"{versions}; measuring code {self.code}"),
        ]


def save(folder: Path, findings: Findings, record: Record) -> Path:
    """Write ``results.json``; raises VipeError if the folder cannot be written."""
    content = {"format": _FORMAT, "run": asdict(record), "findings": findings.to_dict()}
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    return write_atomically(folder / RESULTS, text.encode())


def load(folder: Path) -> tuple[Findings, Record]:
    """Read ``results.json`` back.

    Raises:
        VipeError: it is missing, unreadable, or of another format.
    """
    path = folder / RESULTS
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise VipeError(f"no results in {folder} to draw ({error.strerror}): {path}") from None
    except ValueError as error:
        raise VipeError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise VipeError(f"{path} is not of vipe evaluate, or of another format than {_FORMAT}")
    return Findings.from_dict(content.get("findings", {})), _record(path, content.get("run"))


def _record(path: Path, data: Any) -> Record:
    names = {field.name for field in fields(Record)}
    if not isinstance(data, dict) or not names <= set(data):
        raise VipeError(f"{path} does not say how it was measured")
    return Record(**{name: data[name] for name in names})
