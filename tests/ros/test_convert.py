"""Messages to arrays and back."""

from __future__ import annotations

import time
from array import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from scipy.spatial.transform import Rotation
from vipe_msgs.msg import Embedding, Embeddings

from tests.ros.harness import body, header, people, standing
from vipe_core import bodies, skeletons
from vipe_core.actions import Action
from vipe_core.alignment import Following
from vipe_core.bodies import Estimates
from vipe_core.gallery import Found
from vipe_core.pipeline import Scene
from vipe_core.placement import Placements
from vipe_core.runtime import Model, load
from vipe_ros import convert
from vipe_ros.errors import InputError


@pytest.fixture(scope="module")
def model(model_path) -> Model:
    return load(model_path)


def test_bodies_2d_round_trip() -> None:
    points = np.stack([standing(), standing(30)])
    points[0, 4] = np.nan
    visibility = np.linspace(0, 1, 26).reshape(2, 13).astype(np.float32)
    given = bodies.Bodies2D.from_arrays(
        points, visibility, "body13", ["3", ""], np.array([0.5, 0.25]), (640, 480)
    )
    message = convert.bodies_2d_message(header(1), given, "test")
    assert (message.detector, message.image_width, message.image_height) == ("test", 640, 480)
    back = convert.bodies_2d(message)
    np.testing.assert_array_equal(back.points, given.points)
    np.testing.assert_array_equal(back.visibility, given.visibility)
    np.testing.assert_array_equal(back.scores, given.scores)
    assert (back.skeleton, back.track_ids, back.image_size) == ("body13", ("3", ""), (640, 480))


def test_unknown_image_size_and_nobody() -> None:
    empty = convert.bodies_2d(people(1, skeleton="coco17"))
    assert empty.points.shape == (0, 17, 2)
    assert empty.image_size is None
    message = convert.bodies_2d_message(header(1), empty)
    assert (message.image_width, message.image_height, list(message.bodies)) == (0, 0, [])


def test_infinite_coordinates_are_missing() -> None:
    points = standing()
    points[2] = (np.inf, 5)
    (found,) = convert.bodies_2d(people(1, body(points, visibility=np.ones(13)))).visibility
    assert found.tolist() == [1, 1, 0, *[1] * 10]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (people(1, body(np.zeros((14, 2)))), "wrong array length"),
        (people(1, body(np.zeros((0, 2)))), "wrong array length"),
        (people(1, body(standing(), visibility=[])), "wrong array length"),
        (people(1, body(standing()), skeleton="body14"), "unknown skeleton"),
    ],
)
def test_malformed_bodies_2d(message, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        convert.bodies_2d(message)
    assert caught.value.kind == kind
    assert len(str(caught.value).splitlines()) == 1


def test_embeddings_round_trip(model: Model) -> None:
    given = bodies.Bodies2D.from_arrays(np.stack([standing(), standing()]), track_ids="ab")
    estimates = model(given.points)
    message = convert.embeddings_message(header(2), given, estimates, model)
    found = convert.embeddings(message, model.metadata.embedding_size)
    assert [entry.track_id for entry in found] == ["a", "b"]
    for name in ("mean", "variance", "mirror_mean", "mirror_variance"):
        rows = [getattr(entry, name) for entry in found]
        np.testing.assert_array_equal(rows, getattr(estimates, name))
    assert list(message.bodies[0].visibility) == [1] * 13
    again = convert.estimates(found)
    for name in ("mean", "variance", "mirror_mean", "mirror_variance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(estimates, name))


def test_without_mirror_output(model: Model) -> None:
    given = bodies.Bodies2D.from_arrays(standing()[None])
    row = np.ones((1, 16), np.float32)
    message = convert.embeddings_message(header(2), given, Estimates(row, row), model)
    assert list(message.bodies[0].mirror_mean) == []
    (found,) = convert.embeddings(message, 16)
    assert found.mirror_mean is None
    assert found.mirror_variance is None
    assert convert.estimates([found]).mirror_mean is None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"mean": [1.0] * 15}, "wrong array length"),
        ({"variance": []}, "wrong array length"),
        ({"mirror_mean": [1.0] * 16}, "wrong array length"),  # without its variance
        ({"mean": [float("inf")] * 16}, "embedding not finite"),
    ],
)
def test_malformed_embeddings(changes: dict[str, list[float]], kind: str) -> None:
    fields = {"mean": [0.0] * 16, "variance": [1.0] * 16, **changes}
    entry = Embedding(**{name: array("f", values) for name, values in fields.items()})
    with pytest.raises(InputError) as caught:
        convert.embeddings(Embeddings(bodies=[entry]), 16)
    assert caught.value.kind == kind


def scene(model: Model, placed: bool) -> Scene:
    """Two people, the second of them placed."""
    given = bodies.Bodies2D.from_arrays(np.stack([standing()] * 2), track_ids="ab")
    where = Placements(
        placed=np.array([False, placed]),
        rotation=np.stack([np.full((3, 3), np.nan), [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]]),
        translation=np.array([[np.nan] * 3, [0.5, -0.25, 3]]),
        covariance=np.arange(72, dtype=float).reshape(2, 6, 6),
        height=np.array([1.7, 1.5]),
        height_std=np.array([0.08, 0.02]),
        source=("", "depth" if placed else ""),
    )
    joints = np.arange(2 * 51, dtype=float).reshape(2, 17, 3)
    std = np.arange(34, dtype=float).reshape(2, 17)
    swapped = np.array([True, False])
    return Scene(given, given, model(given.points), swapped, joints, std, where, ())


def test_bodies_3d_message(model: Model) -> None:
    given = scene(model, placed=True)
    message = convert.bodies_3d_message(header(3), given, model)
    assert (message.skeleton, message.model, message.header) == (
        "joints17",
        "test-model",
        header(3),
    )
    first, second = message.bodies
    assert (second.track_id, second.height, second.placement) == ("b", 1.5, "depth")
    assert (first.swapped, second.swapped) == (True, False)
    np.testing.assert_array_equal(np.reshape(second.joints, (17, 3)), given.joints[1])
    np.testing.assert_array_equal(second.std, given.std[1])
    place, turn = second.pose.pose.position, second.pose.pose.orientation
    assert (place.x, place.y, place.z) == (0.5, -0.25, 3)
    rotation = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    np.testing.assert_allclose(rotation, given.placements.rotation[1], atol=1e-12)
    np.testing.assert_array_equal(second.pose.covariance, np.arange(36, 72))


def test_who_is_not_placed_has_no_numbers_for_a_place(model: Model) -> None:
    message = convert.bodies_3d_message(header(3), scene(model, placed=False), model)
    for person in message.bodies:
        assert person.placement == ""
        assert np.isnan(person.pose.covariance).all()
        place, turn = person.pose.pose.position, person.pose.pose.orientation
        assert np.isnan([place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w]).all()


def test_skeleton_message() -> None:
    message = convert.skeleton_message("coco17")
    kind = skeletons.get("coco17")
    assert (message.name, tuple(message.joints)) == ("coco17", kind.joints)
    pairs = np.reshape(message.bones, (-1, 2)).tolist()
    assert [tuple(pair) for pair in pairs] == list(kind.bones)


def test_swapped_people_say_so() -> None:
    given = bodies.Bodies2D.from_arrays(np.stack([standing(), standing()]))
    message = convert.bodies_2d_message(header(1), given, "test", np.array([False, True]))
    assert [person.swapped for person in message.bodies] == [False, True]


def test_actions_message(model: Model) -> None:
    wave = Action("wave", 0.9, 12.25, 13.5, ("wave", "unknown"), (0.9, 0.1), "nod", 0.25)
    nothing = Action("unknown", 1.0, None, None, ("unknown", "wave"), (1.0, 0.0))
    message = convert.actions_message(header(4), model, "dtw", [("1", wave), ("2", nothing)])
    assert message.fingerprint == model.fingerprint
    first, second = message.actions
    assert (first.track_id, first.label, list(first.labels)) == ("1", "wave", ["wave", "unknown"])
    assert first.probabilities.tolist() == pytest.approx([0.9, 0.1])
    assert (first.start, first.end) == (
        Time(sec=12, nanosec=250_000_000),
        Time(sec=13, nanosec=500_000_000),
    )
    assert (second.start, second.end) == (Time(), Time())
    assert [(a.under_way, a.progress) for a in message.actions] == [("nod", 0.25), ("", 0.0)]


def test_following_message() -> None:
    found = Following(0.5, 1.25, 0.75, 0.625, True, False)
    message = convert.following_message(header(4), "7", "wave", found)
    assert message.header == header(4)
    assert (message.track_id, message.reference) == ("7", "wave")
    assert (message.progress, message.reference_time, message.speed) == (0.5, 1.25, 0.75)
    assert (message.likeness, message.mirrored, message.finished) == (0.625, True, False)


@pytest.mark.parametrize("picture", [None, bytes(range(9))])
def test_match_message(picture: bytes | None) -> None:
    message = convert.match_message(Found("a.mcap", 12.25, "7", "wave", 0.5, picture, 3))
    assert (message.source, message.body, message.label) == ("a.mcap", "7", "wave")
    assert message.stamp == Time(sec=12, nanosec=250_000_000)
    assert message.probability == 0.5
    assert bytes(message.thumbnail.data) == (picture or b"")
    assert message.thumbnail.format == ("jpeg" if picture else "")


@pytest.mark.parametrize("nanosec", [0, 1, 500_000_000, 999_999_999])
def test_stamps_survive_seconds(nanosec: int) -> None:
    stamp = Time(sec=1_800_000_000, nanosec=nanosec)
    back = convert.time(convert.seconds(stamp))
    gap = (back.sec - stamp.sec) * 10**9 + back.nanosec - stamp.nanosec
    assert abs(gap) <= 300


def test_hundred_people_are_quick() -> None:
    crowd = bodies.Bodies2D.from_arrays(np.zeros((100, 33, 2)), skeleton="blazepose33")

    def there_and_back() -> float:
        start = time.perf_counter()
        convert.bodies_2d(convert.bodies_2d_message(header(1), crowd))
        return time.perf_counter() - start

    # 3 ms; a Python loop over the joints takes 100. The best of several: the machine is busy.
    assert min(there_and_back() for _ in range(10)) < 0.03
