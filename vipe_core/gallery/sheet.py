"""The answers to a search as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import drawing, files
from vipe_core.errors import VipeError
from vipe_core.gallery.queries import Query
from vipe_core.gallery.rows import Found

COLUMNS = 10
MOST_CELLS = 2000
ENDINGS = (".jpg", ".jpeg", ".png")
_SIZE, _TEXT, _GAP = 128, 30, 6  # pixels: of a picture, of the lines below it, around it
_PAPER, _INK = 255, (70, 70, 70)
_QUALITY = 88


def write(path: str | Path, query: Query, found: Sequence[Sequence[Found]]) -> Path:
    """A contact sheet, JPEG or PNG by the ending of its name: for each pose asked for, itself and
    then its answers, with probability, source and seconds below. Needs OpenCV.

    Raises:
        VipeError: another ending, no answers or more pictures than fit, OpenCV is missing, or
            the file cannot be written.
    """
    check_ending(path)
    rows = [_cells(query, i, answers) for i, answers in enumerate(found) if answers]
    if not rows:
        raise VipeError(f"cannot write {path}: there are no answers to show")
    if sum(map(len, rows)) > MOST_CELLS:
        raise VipeError(f"a sheet holds {MOST_CELLS} pictures: ask for fewer poses, or a lower -k")
    lines = [row[i : i + COLUMNS] for row in rows for i in range(0, len(row), COLUMNS)]
    height, width = _SIZE + _TEXT + _GAP, _SIZE + _GAP
    across = max(map(len, lines))
    shape = (len(lines) * height + _GAP, across * width + _GAP, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for y, line in enumerate(lines):
        for x, (picture, text) in enumerate(line):
            _place(sheet, _GAP + x * width, _GAP + y * height, picture, text)
    cv2 = _cv2()
    ending = Path(path).suffix.lower()
    data = cv2.imencode(ending, sheet, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return files.write_atomically(path, data.tobytes())


def check_ending(path: str | Path) -> None:
    """Raises VipeError where the name is not that of a picture that can be written."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise VipeError(f"cannot write {path}: a sheet's name ends in {', '.join(ENDINGS)}")


_Cell = tuple["bytes | None", tuple[str, str]]


def _cells(query: Query, row: int, answers: Sequence[Found]) -> list[_Cell]:
    cells: list[_Cell] = [(_asked_for(query, row), ("asked for", ""))]
    for one in answers:
        source = f"{Path(one.source).name} {one.stamp_s:.2f} s"
        cells.append((one.thumbnail, (f"{100 * one.probability:.0f} %  {one.label}", source)))
    return cells


def _asked_for(query: Query, row: int) -> bytes | None:
    people = query.people
    if people is None:
        return None
    return drawing.thumbnail(
        query.image, people.points[row], people.visibility[row], people.skeleton, _SIZE
    )


def _place(sheet: np.ndarray, x: int, y: int, picture: bytes | None, text: tuple[str, str]) -> None:
    cv2 = _cv2()
    part = sheet[y : y + _SIZE, x : x + _SIZE]
    image = None
    if picture:
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        part[:] = 235
    else:
        part[:] = cv2.resize(image, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    for line, words in enumerate(text):
        _write(sheet, x, y + _SIZE + 12 + 13 * line, words)


def _write(sheet: np.ndarray, x: int, y: int, words: str) -> None:
    """Text that ends where the next picture begins; OpenCV's font has ASCII alone."""
    cv2, font, size = _cv2(), _cv2().FONT_HERSHEY_SIMPLEX, 0.36
    words = words.encode("ascii", "replace").decode()
    while words and cv2.getTextSize(words, font, size, 1)[0][0] > _SIZE:
        words = words[1:]  # the end of a file's name tells more than its beginning
    cv2.putText(sheet, words, (x, y), font, size, _INK, 1, cv2.LINE_AA)


def _cv2() -> Any:
    try:
        import cv2
    except ImportError:
        raise VipeError("a sheet needs OpenCV: pip install opencv-python-headless") from None
    return cv2
