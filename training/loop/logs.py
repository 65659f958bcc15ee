"""What a run says while it goes: metrics.jsonl, TensorBoard event files, a progress bar."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vipe_core.errors import VipeError
from vipe_core.files import write_atomically

METRICS = "metrics.jsonl"
EVENTS = "events.out.tfevents.*"


class MetricLog:
    """Rows of numbers by step, to ``metrics.jsonl`` and to a TensorBoard event file.

    Args:
        folder: of the run.
        first: steps done before; rows of later steps, which a killed run left behind, go.

    Raises:
        VipeError: the folder cannot be written.
    """

    def __init__(self, folder: Path, first: int = 0) -> None:
        self.path = folder / METRICS
        write_atomically(self.path, _rows_until(self.path, first))
        self._file = self.path.open("a")
        self._events = _event_file(folder, first)

    def write(self, step: int, **values: float) -> None:
        """One row; raises VipeError when there is no room."""
        row = {"step": step, **{name: round(value, 5) for name, value in values.items()}}
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            if self._events is not None:
                self._events.write(step, values)
        except OSError as error:
            raise VipeError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close both files; what does not fit any more was said by :meth:`write`."""
        for file in (self._file, self._events):
            try:
                if file is not None:
                    file.close()
            except OSError:
                continue


class EventFile:
    """Scalars in TensorBoard's event format, written in the caller's thread: an error is
    raised where it can be said, and nothing is lost when the process is killed."""

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        proto: Any = event_pb2  # its classes are made at import
        self._event = proto.Event
        self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}")
        if first:  # TensorBoard then drops what an earlier file says of later steps
            start = proto.SessionLog(status=proto.SessionLog.START)
            self._writer.write_event(self._event(step=first + 1, session_log=start))

    def write(self, step: int, values: dict[str, float]) -> None:
        """The values of one step."""
        event = self._event(step=step, wall_time=time.time())
        for name, value in values.items():
            event.summary.value.add(tag=name, simple_value=value)
        self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class Bar:
    """Progress with the time that is left, by steps or, where there is a limit, by time."""

    def __init__(self, steps: int, minutes: float, shown: bool) -> None:
        self._timed = bool(minutes)
        total, unit = (round(60 * minutes), "s") if minutes else (steps, "step")
        self._bar = tqdm(total=total, unit=unit, disable=not shown)

    def update(self, step: int, seconds: float) -> None:
        """Show that this many steps and seconds are done."""
        done = min(int(seconds), self._bar.total) if self._timed else step
        self._bar.update(done - self._bar.n)

    def note(self, **values: float) -> None:
        """Show numbers behind the bar."""
        self._bar.set_postfix({name: f"{value:.3f}" for name, value in values.items()})

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def _rows_until(path: Path, step: int) -> bytes:
    """The rows up to a step; the last row of a killed run may be half a row."""
    kept = []
    for line in path.read_text().splitlines() if step and path.is_file() else ():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except ValueError:
            continue
    return "".join(kept).encode()


def _event_file(folder: Path, first: int) -> EventFile | None:
    try:
        return EventFile(folder, first)
    except ImportError:
        print("vipe train: no TensorBoard files: pip install tensorboardX", file=sys.stderr)
    except OSError as error:
        raise VipeError(f"cannot write {folder}: {error.strerror or error}") from error
    return None
