"""What a node counts and times, and the diagnostic status made of it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

WINDOW = 1000  # latencies kept per stage: half a minute at camera rate
RATE_WINDOW_S = 5.0
OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)


class Report:
    """Counts since the node was configured.

    Attributes:
        counts: events by name: received, dropped (lost before they got here), published per topic.
        errors: rejected inputs by kind.
        facts: what is so now: backend, model, fingerprint, bodies in view.
        failure: why the node could not be configured; "" when it could.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.facts: dict[str, str] = {}
        self.failure = ""
        self._latencies: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._arrivals: deque[float] = deque(maxlen=WINDOW)
        self._told: Counter[str] = Counter()
        self._sequence: dict[bytes, int] = {}

    def listen(self) -> None:
        """An input was opened: count from here, whatever was sent before."""
        self.counts.update(received=0, dropped=0)
        self._sequence.clear()

    def received(self, moment_s: float) -> None:
        """Count an input that came at this moment of a steady clock."""
        self.counts["received"] += 1
        self._arrivals.append(moment_s)

    def rate(self) -> float:
        """Inputs per second over the last :data:`RATE_WINDOW_S` before the latest; 0 of one."""
        if not self._arrivals:
            return 0.0
        oldest = self._arrivals[-1] - RATE_WINDOW_S
        recent = [moment for moment in self._arrivals if moment >= oldest]
        elapsed = recent[-1] - recent[0]
        return (len(recent) - 1) / elapsed if elapsed > 0 else 0.0

    def error(self, kind: str) -> bool:
        """Count an error; True for the first of its kind."""
        self.errors[kind] += 1
        return self.errors[kind] == 1

    def latency(self, stage: str, duration_s: float) -> None:
        """Add one duration in seconds."""
        self._latencies[stage].append(duration_s)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time a block; one that raises is not counted."""
        start = time.perf_counter()
        yield
        self.latency(stage, time.perf_counter() - start)

    def sequence(self, publisher: bytes, number: int | None) -> None:
        """Count the messages lost before this one, from the publisher's own numbers."""
        if number is None:
            return
        gap = number - self._sequence.get(publisher, number - 1) - 1
        if gap > 0:
            self.counts["dropped"] += gap
        self._sequence[publisher] = number

    def percentiles(self, stage: str) -> tuple[float, float]:
        """Median and 99th percentile in seconds of the last :data:`WINDOW` durations."""
        median, p99 = np.percentile(self._latencies[stage], (50, 99))
        return float(median), float(p99)

    def status(self, name: str, state: str, silence_s: float | None) -> DiagnosticStatus:
        """The status to publish.

        Args:
            name: of the node, fully qualified.
            state: of its lifecycle.
            silence_s: seconds without input when that is too long, else None.
        """
        level, message = self._summary(state, silence_s)
        self._told = self.errors.copy()
        values = {"state": state, **self.facts}
        if "received" in self.counts:
            values["input rate (Hz)"] = f"{0.0 if silence_s is not None else self.rate():.1f}"
        values |= {key: str(count) for key, count in self.counts.items()}
        values["errors"] = str(self.errors.total())
        values |= {f"errors: {kind}": str(count) for kind, count in self.errors.items()}
        for stage in self._latencies:
            for label, value in zip(("median", "p99"), self.percentiles(stage), strict=True):
                values[f"latency {stage} {label} (ms)"] = f"{1e3 * value:.2f}"
        return DiagnosticStatus(
            level=level,
            name=name,
            message=message,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )

    def _summary(self, state: str, silence_s: float | None) -> tuple[bytes, str]:
        if self.failure:
            return ERROR, self.failure
        if silence_s is not None:
            return STALE, f"no input for {silence_s:.1f} s"
        fresh = self.errors - self._told
        if fresh:
            return WARN, f"{fresh.total()} new errors: {', '.join(fresh)}"
        return OK, state
