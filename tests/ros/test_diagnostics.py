"""Counting, timing, and the status made of it."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from vipe_ros.diagnostics import WINDOW, Report


def values(report: Report) -> dict[str, str]:
    status = report.status("/node", "active", None)
    return {entry.key: entry.value for entry in status.values}


def test_first_of_a_kind() -> None:
    report = Report()
    assert [report.error(kind) for kind in "aab"] == [True, False, True]
    found = values(report)
    assert (found["errors"], found["errors: a"], found["errors: b"]) == ("3", "2", "1")


def test_lost_messages_are_counted_from_the_publishers_numbers() -> None:
    report = Report()
    report.listen()
    for publisher, number in [(b"a", 5), (b"a", 6), (b"b", 1), (b"a", 9), (b"b", 2), (b"a", 10)]:
        report.sequence(publisher, number)
    assert values(report)["dropped"] == "2"
    report.listen()  # what was sent while nobody listened is not lost
    report.sequence(b"a", 100)
    report.sequence(b"a", None)
    assert values(report)["dropped"] == "2"


def test_latencies_are_of_the_last_window() -> None:
    report = Report()
    for _ in range(WINDOW):
        report.latency("work", 5.0)
    for index in range(WINDOW):
        report.latency("work", index / WINDOW)
    found = values(report)
    assert float(found["latency work median (ms)"]) == pytest.approx(500, abs=1)
    assert float(found["latency work p99 (ms)"]) == pytest.approx(990, abs=2)


def test_a_block_that_fails_is_not_timed() -> None:
    report = Report()
    with report.timed("good"):
        pass
    with pytest.raises(KeyError), report.timed("bad"):
        raise KeyError
    assert "latency good median (ms)" in values(report)
    assert "latency bad median (ms)" not in values(report)


def test_levels() -> None:
    report = Report()

    def status(silence: float | None = None) -> tuple[bytes, str]:
        made = report.status("/node", "active", silence)
        return made.level, made.message

    assert status() == (DiagnosticStatus.OK, "active")
    report.error("odd")
    assert status() == (DiagnosticStatus.WARN, "1 new errors: odd")
    assert status() == (DiagnosticStatus.OK, "active")  # nothing new
    assert status(3.21) == (DiagnosticStatus.STALE, "no input for 3.2 s")
    report.failure = "cannot configure: why"
    assert status(3.21) == (DiagnosticStatus.ERROR, "cannot configure: why")
