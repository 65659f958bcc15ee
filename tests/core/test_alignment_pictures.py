"""What the pictures of an alignment show: all of the curve, all of the person, no made-up image."""

from __future__ import annotations

import numpy as np
import pytest

from vipe_core.alignment import Alignment
from vipe_core.alignment.side_by_side import SIZE, Side, frames
from vipe_core.recordings import Moment, Person
from vipe_core.skeletons import BODY13
from vipe_core.track import Track

_RED = (0, 0, 255)
_GREY = (246, 244, 242)
_PANEL = slice(56, 456), slice(20, 420)  # rows and columns of the first


@pytest.mark.parametrize(
    ("speed", "low", "high"),
    [
        ([0.9, 1.0, 1.1], 0.25, 4),
        ([1.0, 5.4, 3.0], 0.25, 8),
        ([0.1, 0.5, np.nan], 1 / 16, 4),
        ([0.0, 1.0, 2.0], 0.25, 4),  # it waits
        ([np.nan] * 3, 0.25, 4),
        ([1e-6, 1.0, 1e6], 1 / 64, 64),
    ],
)
def test_the_curve_of_speed_stays_in_its_axes(speed, low, high):
    figure = pytest.importorskip("matplotlib.figure")
    from vipe_core.alignment import plots

    axes = figure.Figure().add_axes((0.1, 0.1, 0.8, 0.8))
    plots._draw_speed(axes, np.arange(3.0), np.array(speed))
    bottom, top = axes.get_ylim()
    assert bottom == pytest.approx(low / 1.1)
    assert top == pytest.approx(high * 1.1)
    drawn = axes.lines[-1].get_ydata()
    assert np.array_equal(np.isnan(drawn), np.isnan(speed))
    assert all(bottom <= value <= top for value in drawn[np.isfinite(drawn)])
    ticks = axes.get_yticks()
    assert {1.0, 2.0 ** np.log2(high)} <= set(ticks)
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == f"{high} x"


def standing(left: float, top: float) -> tuple[np.ndarray, np.ndarray]:
    """Somebody upright, 300 pixels from the top of the head to the ankles, whose face is
    hardly seen: points (13, 2) and visibility (13,)."""
    places = {"nose": (0, 30), "shoulder": (30, 60), "elbow": (45, 105), "wrist": (50, 145)}
    places |= {"hip": (20, 150), "knee": (20, 230), "ankle": (20, 300)}
    points = []
    for joint in BODY13.joints:
        side, _, name = joint.rpartition("_")
        across, down = places[name]
        points.append((left + across * {"left": 1, "right": -1}.get(side, 0), top + down))
    visibility = np.where(np.array(BODY13.joints) == "nose", 0.3, 1.0)
    return np.array(points), visibility


def first_panel(image: np.ndarray, points: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """(400, 400, 3) of the only picture of somebody beside themselves."""
    track = Track(np.zeros(1), np.zeros((1, 4)), np.ones((1, 4)))
    person = Person("0", track, points[None], visibility[None], "body13")
    one = np.ones(1)
    alignment = Alignment(np.zeros((1, 2), int), 0.0, False, 0.0, one, np.zeros(1), one)
    moment = Moment(0.0, (), None, None, image)  # type: ignore[arg-type]
    sides = [Side(title, person, iter([moment])) for title in ("a", "b")]
    (picture,) = frames(alignment, sides[0], sides[1], 25.0)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    return picture[_PANEL]


@pytest.fixture(autouse=True)
def libraries():
    for name in ("cv2", "PIL", "matplotlib"):
        pytest.importorskip(name)


def test_a_head_that_is_hardly_seen_is_shown_whole():
    points, visibility = standing(300, 100)
    image = np.full((600, 600, 3), 255, np.uint8)
    image[100:104, 270:330] = _RED  # the top of the head
    panel = first_panel(image, points, visibility)
    red = (panel == _RED).all(-1)
    assert red.sum() > 100
    assert not red[0].any()


def test_beyond_the_image_is_plain_paper():
    points, visibility = standing(300, 0)  # the head at the image's upper edge
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    panel = first_panel(stripes, points, visibility)
    assert (panel[:5] == _GREY).all()
    assert not (panel[-5:] == _GREY).all(-1).any()
