"""kill -9 of a process that appends, at any moment: no row that was acknowledged is lost.

Run as a program, this file is that process: it appends rows that follow from their number,
tidies up as often as it can, and says after each append which row is the last on disk.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vipe_core.gallery import Gallery, Origin, Rows, schema, upkeep

ORIGIN = Origin("crash 1", "0123456789ab", 1.5, 0.75, 8)
BATCH = 20


def rows_from(first: int) -> Rows:
    number = np.arange(first, first + BATCH)
    mean = np.sin(number[:, None] * np.arange(1, 9))
    return Rows(mean, mean**2, "crash", number.astype(float), thumbnail=[b"%d" % n for n in number])


def append_for_ever(address: str) -> None:
    upkeep.EVERY, upkeep.INDEXED_FROM = 7, 300
    sys.stdin.readline()
    gallery = Gallery.open(address)
    first = len(gallery)
    while True:
        gallery.add(rows_from(first))
        first += BATCH
        os.write(1, b"%d\n" % first)


def started(address: Path) -> subprocess.Popen[bytes]:
    """A process that has what it needs loaded while the one before it is at work."""
    command = [sys.executable, __file__, str(address)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def check_whole(address: Path, at_least: int) -> int:
    """Every row from the first to the last is there once, as it was written; their number."""
    table = Gallery.open(address).table.to_arrow().sort_by("stamp_s")
    count = len(table)
    assert count >= at_least
    assert count % BATCH == 0  # an append is there as a whole or not at all
    assert table.column("stamp_s").to_pylist() == list(range(count))
    expected = [rows_from(first) for first in range(0, count, BATCH)]
    mean = np.concatenate([rows.mean for rows in expected])
    np.testing.assert_array_equal(schema.vectors(table, "mean"), mean)
    thumbnails = [picture for rows in expected for picture in rows.thumbnail]
    assert table.column("thumbnail").to_pylist() == thumbnails
    return count


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost(tmp_path, kills):
    address, chance = tmp_path / "gallery", random.Random(kills)
    Gallery.create(address, ORIGIN)
    reader = Gallery.open(address, refresh_s=0)
    acknowledged, writer = 0, started(address)
    try:
        for _ in range(kills):
            following = started(address)
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
            for _ in range(chance.randint(1, 25)):
                acknowledged = int(writer.stdout.readline())
                assert len(reader) >= acknowledged
                assert len(reader.search(rows_from(0).mean[0], np.zeros(8), k=5)) == 5
            time.sleep(chance.uniform(0, 0.03))  # anywhere in an append, a tidying, an index
            writer.kill()
            rest = writer.stdout.read().split()
            writer.wait()
            acknowledged = max([acknowledged, *map(int, rest)])
            acknowledged = check_whole(address, acknowledged)
            writer.stdin.close()
            writer.stdout.close()
            writer = following
    finally:
        for process in (writer, following):
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
    assert acknowledged >= kills * BATCH
    (found,) = Gallery.open(address).search(rows_from(0).mean[0], np.zeros(8), k=1)
    assert found.stamp_s < acknowledged


if __name__ == "__main__":
    append_for_ever(sys.argv[1])
