"""``vipe align`` as a user calls it, on real files and a real (untrained) model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from vipe_core import keypoint_file, recordings, runtime
from vipe_core.alignment import align
from vipe_core.cli import main
from vipe_core.keypoint_file import KeypointFile
from vipe_core.skeletons import JOINTS17


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True, sigmoid_b=6.0)


def clip(
    path: Path, frames: int = 40, people: int = 1, fps: float = 20.0, speed: float = 1
) -> Path:
    """A keypoint file of people who move from pose to pose; ``speed`` bends the way there."""
    rng = np.random.default_rng(0)
    poses = rng.normal(300, 90, (5, people, 13, 2))
    at = 4 * np.linspace(0, 1, frames) ** speed
    low = np.minimum(at.astype(int), 3)
    share = (at - low)[:, None, None, None]
    points = poses[low] * (1 - share) + poses[low + 1] * share
    points = points[:, 0] if people == 1 else points
    content = KeypointFile(points, np.ones(points.shape[:-1]), "body13", fps=fps)
    keypoint_file.write(path, content)
    return path


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def call(*args: object) -> int:
    """The exit status of ``vipe`` in this very process: no time lost on starting one."""
    return main([*map(str, args)])


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    return clip(tmp_path / "a.npz"), clip(tmp_path / "b.npz", 60, fps=25.0, speed=1.3)


def test_what_is_written_is_what_align_says(tmp_path, model, pair):
    done = vipe("align", *pair, tmp_path / "out.npz", "--model", model)
    assert done.returncode == 0, done
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith("40 frames (1.9 s) and 60 (2.4 s), B is 0.")
    assert f", B is {1.95 / 2.36:.2f} times as fast as A, " in line
    found = load(tmp_path / "out.npz")
    loaded = runtime.load(model)
    a, b = (recordings.read(path, loaded) for path in pair)
    expected = align(a.people[0], b.people[0], a.sigmoid_a, a.sigmoid_b)
    np.testing.assert_array_equal(found["path"], expected.path)
    assert found["cost"] == pytest.approx(expected.cost)
    assert found["offset_s"] == pytest.approx(expected.offset_s)
    assert bool(found["mirrored"]) == expected.mirrored
    np.testing.assert_allclose(found["speed"], expected.speed)
    np.testing.assert_allclose(found["moment"], expected.moment_s)
    np.testing.assert_allclose(found["likeness"], expected.likeness)
    np.testing.assert_allclose(found["joint_difference"], expected.joint_difference)
    np.testing.assert_allclose(found["joint_deviation"], expected.joint_deviation)
    assert tuple(found["joint_names"]) == JOINTS17.joints
    i, j = found["path"].T
    np.testing.assert_allclose(found["stamps"], np.stack([i / 20, j / 25], axis=1))
    assert str(found["fingerprint"]) == loaded.fingerprint


def test_the_speed_that_is_said_fits_both_lengths(tmp_path, model, capsys):
    slow = clip(tmp_path / "a.npz", 61, speed=3.0)  # B hurries through most of its frames
    quick = clip(tmp_path / "b.npz", 34, speed=0.5)
    assert call("align", slow, quick, tmp_path / "out.npz", "--model", model) == 0
    assert f", B is {3.0 / 1.65:.2f} times as fast as A, " in capsys.readouterr().out
    one = clip(tmp_path / "one.npz", 1)
    assert call("align", slow, one, tmp_path / "out.npz", "--model", model) == 0
    assert "fast" not in capsys.readouterr().out


def test_height_scales_the_differences(tmp_path, model, pair):
    for height in ("1", "2"):
        out = tmp_path / f"{height}.npz"
        argv = ("align", *pair, out, "--model", model, "--height", height)
        assert call(*argv) == 0
    one, two = (load(tmp_path / f"{height}.npz") for height in "12")
    np.testing.assert_allclose(two["joint_difference"], 2 * one["joint_difference"])
    np.testing.assert_allclose(two["joint_deviation"], one["joint_deviation"])


def test_embedding_files(tmp_path, model, pair):
    embedded = [tmp_path / f"{path.stem}.emb.npz" for path in pair]
    for path, out in zip(pair, embedded, strict=True):
        assert call("embed", path, out, "--model", model) == 0
    assert call("align", *embedded, tmp_path / "out.npz", "--model", model) == 0
    assert "joint_difference" not in load(tmp_path / "out.npz")
    line = error_line(
        *("align", *embedded, tmp_path / "o.npz", "--model", model, "--video", tmp_path / "v.gif")
    )
    assert "holds embeddings without keypoints" in line
    assert not (tmp_path / "v.gif").exists()


def test_several_people(tmp_path, model):
    crowd, one = clip(tmp_path / "crowd.npz", people=3), clip(tmp_path / "one.npz")
    content = keypoint_file.read(crowd)
    points = content.points.copy()
    points[:9, 0] = np.nan  # the second and third are seen longest
    keypoint_file.write(crowd, KeypointFile(**(vars(content) | {"points": points})))
    done = vipe("align", crowd, one, tmp_path / "out.npz", "--model", model)
    assert done.stderr == (
        f"vipe align: 3 people in {crowd} (1, 2, 0): taking 1, seen longest; --person chooses\n"
    )
    assert load(tmp_path / "out.npz")["people"].tolist() == ["1", "0"]
    chosen = ("--person", "2", "-")
    done = vipe("align", crowd, one, tmp_path / "out.npz", "--model", model, *chosen)
    assert done.stderr == ""
    assert load(tmp_path / "out.npz")["people"].tolist() == ["2", "0"]
    line = error_line(
        "align", crowd, one, tmp_path / "o.npz", "--model", model, "--person", "9", "-"
    )
    assert line == f"vipe align: no person '9' in {crowd}; there: 1, 2, 0"


def test_subsequence(tmp_path, model):
    whole = clip(tmp_path / "whole.npz", 80)
    content = keypoint_file.read(whole)
    part = KeypointFile(content.points[20:50], content.visibility[20:50], "body13", fps=20.0)
    keypoint_file.write(tmp_path / "part.npz", part)
    argv = (whole, tmp_path / "part.npz", tmp_path / "out.npz", "--model", model)
    assert call("align", *argv, "--subsequence") == 0
    path = load(tmp_path / "out.npz")["path"]
    assert path[0, 0] == pytest.approx(20, abs=2)
    assert path[-1, 0] == pytest.approx(49, abs=2)


def test_keypoint_files_without_a_time(tmp_path, model, pair):
    for path in pair:
        content = keypoint_file.read(path)
        keypoint_file.write(path, KeypointFile(content.points, content.visibility, "body13"))
    done = vipe("align", *pair, tmp_path / "out.npz", "--model", model)
    assert done.returncode == 0, done
    assert done.stderr.splitlines() == [
        f"vipe align: {path} does not say when its frames were: taken as 30 a second"
        for path in pair
    ]
    found = load(tmp_path / "out.npz")
    np.testing.assert_allclose(found["stamps"], found["path"] / 30)
    assert tuple(found["path"][-1]) == (39, 59)
    assert found["joint_difference"].shape == (len(found["path"]), 17)


def test_only_a_part(tmp_path, model, pair):
    argv = ("align", *pair, tmp_path / "out.npz", "--model", model)
    cut = ("--cut-a", "0.5", "1.5", "--cut-b", "0", "1")
    assert call(*argv, *cut) == 0
    found = load(tmp_path / "out.npz")
    assert found["stamps"][0] == pytest.approx([0.5, 0])
    assert found["stamps"][-1] == pytest.approx([1.5, 1])


def test_pictures(tmp_path, model, pair):
    cv2 = pytest.importorskip("cv2")
    image = pytest.importorskip("PIL.Image")
    argv = ("align", *pair, tmp_path / "out.npz", "--model", model)
    assert call(*argv, "--plot", tmp_path / "p.png", "--video", tmp_path / "v.gif") == 0
    with image.open(tmp_path / "v.gif") as gif:
        assert gif.size == (800, 358)
        # About 2.2 s, the mean of both, twelve a second.
        assert gif.n_frames == pytest.approx(2.2 * 12, abs=2)
    assert cv2.imread(str(tmp_path / "p.png")).std() > 20
    assert call(*argv, "--video", tmp_path / "v.mp4") == 0
    video = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == pytest.approx(2.2 * 25, abs=3)
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 1280
    video.release()
    assert not list(tmp_path.glob(".*"))  # no half-written files


def unused(monkeypatch) -> None:
    """Nothing may be opened from here on."""

    def opened(*_, **__):
        raise AssertionError("a recording was opened")

    monkeypatch.setattr(recordings, "open_source", opened)
    monkeypatch.setattr(recordings, "read", opened)


class TestBadInput:
    @pytest.fixture
    def refused(self, tmp_path, model, pair, capsys):
        def line(*more: object, a: Path | None = None, out: Path | None = None) -> str:
            given = (a or pair[0], pair[1], out or tmp_path / "out.npz", "--model", model, *more)
            capsys.readouterr()
            assert call("align", *given) == 2
            said = capsys.readouterr()
            assert said.out == ""
            assert not (tmp_path / "out.npz").exists()
            (only,) = said.err.splitlines()
            return only

        return line

    def test_no_such_recording(self, tmp_path, refused):
        line = refused(a=tmp_path / "none.npz")
        assert line == f"vipe align: recording {tmp_path}/none.npz does not exist"

    def test_an_examples_file(self, tmp_path, refused, pair, model):
        taught = tmp_path / "taught.npz"
        argv = ("teach", taught, pair[0], "--label", "wave", "--model", model)
        assert call(*argv) == 0
        said = f"recording {taught}: it is an examples file (vipe teach), not a recording"
        assert refused(a=taught) == f"vipe align: {said}"

    @pytest.mark.parametrize("side", ["a", "b"])
    @pytest.mark.parametrize("cut", [("2", "0"), ("1", "1"), ("0", "nan")])
    def test_a_part_that_is_none(self, tmp_path, refused, monkeypatch, side, cut):
        unused(monkeypatch)
        line = refused(f"--cut-{side}", *cut)
        assert line == f"vipe align: {tmp_path}/{side}.npz: the end is not after the start"

    def test_no_frames(self, tmp_path, refused):
        empty = tmp_path / "empty.npz"
        content = KeypointFile(np.empty((0, 13, 2)), np.empty((0, 13)), "body13", fps=20.0)
        keypoint_file.write(empty, content)
        assert refused(a=empty) == f"vipe align: keypoint file {empty}: no frames"

    def test_nobody_in_it(self, tmp_path, refused):
        empty = tmp_path / "empty.npz"
        points = np.full((9, 13, 2), np.nan)
        keypoint_file.write(empty, KeypointFile(points, np.zeros((9, 13)), "body13", fps=20.0))
        assert refused(a=empty) == f"vipe align: keypoints {empty}: nobody is seen"

    def test_embeddings_of_another_model(self, tmp_path, refused, pair):
        other = make_model(tmp_path / "other.onnx", version="2")
        embedded = tmp_path / "a.emb.npz"
        assert call("embed", pair[0], embedded, "--model", other) == 0
        assert "make it again from its keypoints" in refused(a=embedded)

    def test_a_model_without_embeddings(self, tmp_path, pair):
        pose = make_model(tmp_path / "pose.onnx", "pose")
        line = error_line("align", *pair, tmp_path / "out.npz", "--model", pose)
        assert "gives no embedding" in line

    @pytest.mark.parametrize("option", ["--plot", "--video"])
    def test_an_ending_that_nobody_knows(self, tmp_path, refused, option):
        path = tmp_path / "picture.xyz"
        kinds = {"--plot": "a plot ends in .png, .pdf or .svg", "--video": "a video ends in .mp4"}
        line = refused(option, path)
        assert line.startswith(f"vipe align: cannot write {path}: {kinds[option]}")

    @pytest.mark.parametrize("option", [None, "--plot", "--video"])
    def test_places_that_cannot_be_written(self, tmp_path, refused, option):
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "out.gif"
        line = refused(option, path) if option else refused(out=path)
        assert "is not a folder" in line

    def test_outputs_over_inputs_or_each_other(self, tmp_path, refused, pair):
        assert "it is the input" in refused(out=pair[1])
        assert "different files" in refused("--plot", tmp_path / "x", "--video", tmp_path / "x")

    @pytest.mark.parametrize("module", ["PIL", "matplotlib", "cv2"])
    def test_a_library_that_draws_is_missing(self, tmp_path, refused, monkeypatch, module):
        monkeypatch.setitem(sys.modules, module, None)
        line = refused("--video", tmp_path / "v.gif")
        assert line == f"vipe align: pictures need {module}: pip install -e '.[demo]'"

    def test_height_in_centimetres(self, refused):
        assert "--height: metres between 0 and 3, not '170'" in refused("--height", "170")
