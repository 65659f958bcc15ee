"""embed, lift and search as a user calls them, on real files and a real (untrained) model."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import numpy as np
import pytest

from tests.cli import TIMEOUT, VIPE, error_line, vipe
from tests.model_factory import make_model
from vipe_core import embedding_file, keypoint_file, runtime, skeletons
from vipe_core.embedding import likelihood_match_probability
from vipe_core.keypoint_file import KeypointFile


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", sigmoid_a=1.25)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def clip(path: Path, *lead: int, skeleton: str = "coco17", seed: int = 0, **more: object) -> Path:
    """A keypoint file of random poses."""
    joints = len(skeletons.get(skeleton))
    points = np.random.default_rng(seed).normal(300, 80, (*lead, joints, 2))
    content = KeypointFile(points, np.ones((*lead, joints)), skeleton, **more)
    keypoint_file.write(path, content)
    return path


def without_people(path: Path, where: object) -> Path:
    """The same keypoint file with nobody at these frames."""
    content = keypoint_file.read(path)
    points = content.points.copy()
    points[where] = np.nan
    fields = vars(content) | {"points": points}
    keypoint_file.write(path, KeypointFile(**fields))
    return path


def done(*args: object) -> str:
    """stderr of a call that must succeed quietly on stdout."""
    result = vipe(*args)
    assert result.returncode == 0, result
    assert result.stdout == ""
    return result.stderr


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def test_embed(folder, model):
    given = clip(folder / "clip.npz", 9, fps=25.0, label="wave")
    assert done("embed", given, folder / "out.npz", "--model", model) == ""
    found = load(folder / "out.npz")
    points = skeletons.convert(keypoint_file.read(given).points, "coco17", "body13")
    expected = runtime.load(model)(points)
    np.testing.assert_allclose(found["mean"], expected.mean, atol=1e-6)
    np.testing.assert_allclose(found["variance"], expected.variance, atol=1e-6)
    assert str(found["skeleton"]) == "coco17"
    assert str(found["model"]) == "test-model 1.2.3"
    assert str(found["fingerprint"]) == runtime.load(model).fingerprint
    assert (found["sigmoid_a"], found["sigmoid_b"]) == (1.25, 0.75)
    assert (found["fps"], str(found["label"])) == (25, "wave")


def test_embed_several_people_some_missing(folder, model):
    given = without_people(clip(folder / "clip.npz", 6, 3), ([0, 4], [2, 1]))
    said = done("embed", given, folder / "out.npz", "--model", model)
    assert said == "vipe embed: no person in 2 of 18 rows: they are NaN\n"
    found = load(folder / "out.npz")
    assert found["mean"].shape == found["variance"].shape == (6, 3, 16)
    assert np.argwhere(np.isnan(found["mean"]).all(-1)).tolist() == [[0, 2], [4, 1]]
    assert np.isfinite(found["mean"]).sum() == 16 * 16


def test_embed_with_the_model_of_the_environment(folder, model):
    given = clip(folder / "clip.npz", 2)
    assert vipe("embed", given, folder / "out.npz", VIPE_MODEL=str(model)).returncode == 0


def test_embed_writes_exactly_the_named_file(folder, model):
    given = clip(folder / "clip.npz", 2)
    done("embed", given, folder / "new" / "result", "--model", model)
    assert [entry.name for entry in (folder / "new").iterdir()] == ["result"]


def test_embed_needs_an_embedding_model(folder, tmp_path):
    pose = make_model(tmp_path / "pose.onnx", "pose")
    line = error_line("embed", clip(folder / "clip.npz", 2), folder / "o.npz", "--model", pose)
    assert line.endswith("gives no embedding, its task is 'pose'")


def test_lift(folder, model):
    given = clip(folder / "clip.npz", 5)
    done("lift", given, folder / "out.npz", "--model", model, "--height", "2")
    found = load(folder / "out.npz")
    points = skeletons.convert(keypoint_file.read(given).points, "coco17", "body13")
    expected = runtime.load(model)(points)
    np.testing.assert_allclose(found["joints"], expected.joints * 2, atol=1e-6)
    np.testing.assert_allclose(found["std"], expected.std * 2, atol=1e-6)
    np.testing.assert_allclose(found["latent"], expected.mean, atol=1e-6)
    assert found["height"] == 2


def test_lift_default_height(folder, model):
    given = clip(folder / "clip.npz", 2)
    done("lift", given, folder / "a.npz", "--model", model)
    done("lift", given, folder / "b.npz", "--model", model, "--height", "1.7")
    np.testing.assert_array_equal(
        load(folder / "a.npz")["joints"], load(folder / "b.npz")["joints"]
    )


def test_lift_several_people_without_latent(folder, tmp_path):
    pose = make_model(tmp_path / "pose.onnx", "pose")
    given = without_people(clip(folder / "clip.npz", 4, 2), (1, 0))
    said = done("lift", given, folder / "out.npz", "--model", pose)
    assert said == "vipe lift: no person in 1 of 8 rows: they are NaN\n"
    found = load(folder / "out.npz")
    assert found["joints"].shape == (4, 2, 17, 3)
    assert found["std"].shape == (4, 2, 17)
    assert found["latent"].shape == (4, 2, 0)
    assert np.isnan(found["joints"][1, 0]).all()


def test_lift_needs_a_pose_model(folder, tmp_path):
    plain = make_model(tmp_path / "plain.onnx", "embedding")
    line = error_line("lift", clip(folder / "clip.npz", 2), folder / "o.npz", "--model", plain)
    assert line.endswith("gives no 3D pose, its task is 'embedding'")


@pytest.mark.parametrize("height", ["0", "-1", "170", "tall", "nan", "inf"])
def test_lift_height_out_of_range(folder, height):
    line = error_line("lift", "in.npz", "out.npz", f"--height={height}")
    wrong = f"argument --height: metres between 0 and 3, not {height!r}"
    assert line == f"vipe lift: {wrong} (see vipe lift --help)"


@pytest.mark.parametrize("verb", ["embed", "lift"])
class TestBadInput:
    """What embed and lift refuse alike."""

    def test_missing_file(self, folder, model, verb):
        line = error_line(verb, folder / "none.npz", folder / "out.npz", "--model", model)
        assert line == f"vipe {verb}: keypoint file {folder}/none.npz: No such file or directory"

    def test_no_keypoint_file(self, folder, model, verb):
        (folder / "clip.npz").write_bytes(b"hello")
        line = error_line(verb, folder / "clip.npz", folder / "out.npz", "--model", model)
        assert line.endswith("not an .npz")

    def test_no_frames(self, folder, model, verb):
        given = clip(folder / "clip.npz", 0)
        line = error_line(verb, given, folder / "out.npz", "--model", model)
        assert line.endswith("no frames (points have (0, 17, 2))")

    def test_wrong_joint_count(self, folder, model, verb):
        np.savez(
            folder / "clip.npz",
            points=np.ones((3, 12, 2)),
            visibility=np.ones((3, 12)),
            skeleton="body13",
        )
        line = error_line(verb, folder / "clip.npz", folder / "out.npz", "--model", model)
        assert "body13 needs (T, 13, 2)" in line

    def test_unknown_skeleton(self, folder, model, verb):
        np.savez(
            folder / "clip.npz",
            points=np.ones((3, 8, 2)),
            visibility=np.ones((3, 8)),
            skeleton="octopus8",
        )
        line = error_line(verb, folder / "clip.npz", folder / "out.npz", "--model", model)
        assert "unknown skeleton 'octopus8'; known: body13" in line

    def test_skeleton_that_does_not_fit_the_model(self, folder, tmp_path, verb):
        halpe = make_model(tmp_path / "halpe.onnx", skeleton_2d="halpe26")
        given = clip(folder / "clip.npz", 2)
        line = error_line(verb, given, folder / "out.npz", "--model", halpe)
        assert "takes halpe26, which cannot be made from coco17: it has no head" in line

    def test_missing_model(self, folder, verb):
        given = clip(folder / "clip.npz", 2)
        line = error_line(verb, given, folder / "out.npz", "--model", folder / "none.onnx")
        assert line == f"vipe {verb}: model {folder}/none.onnx does not exist"

    def test_damaged_model(self, folder, model, verb):
        given = clip(folder / "clip.npz", 2)
        (folder / "half.onnx").write_bytes(model.read_bytes()[:999])
        line = error_line(verb, given, folder / "out.npz", "--model", folder / "half.onnx")
        assert line.endswith("half.onnx is not an ONNX file, or it is truncated or changed")

    def test_output_that_cannot_be_written(self, folder, model, verb):
        given = clip(folder / "clip.npz", 2)
        line = error_line(verb, given, folder, "--model", model)
        assert line == f"vipe {verb}: cannot write {folder}: Is a directory"
        line = error_line(verb, given, given / "out.npz", "--model", model)
        assert line.endswith("clip.npz is not a folder")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, model) -> dict[str, Path]:
    """An index of 30 poses, two of them missing, and a query of its frames 3, 9 and nobody."""
    folder = tmp_path_factory.mktemp("embedded")
    index = without_people(clip(folder / "index-clip.npz", 30), [5, 6])
    content = keypoint_file.read(index)
    rows = [3, 9, 5]
    query = KeypointFile(content.points[rows], content.visibility[rows], "coco17")
    keypoint_file.write(folder / "query-clip.npz", query)
    for name in ("index", "query"):
        done_quietly = vipe(
            "embed", folder / f"{name}-clip.npz", folder / f"{name}.npz", "--model", model
        )
        assert done_quietly.returncode == 0
    return {name: folder / f"{name}.npz" for name in ("index", "query")}


def test_search_finds_what_the_probability_says(folder, embedded):
    said = done("search", embedded["index"], embedded["query"], folder / "out.npz", "-k", 4)
    assert said == "vipe search: no person in 1 of 3 queries: their indices are -1\n"
    found = load(folder / "out.npz")
    index, query = (embedding_file.read(embedded[name]) for name in ("index", "query"))
    asked = (a.astype(np.float64)[:, None] for a in (query.mean, query.variance))
    rows = (a.astype(np.float64) for a in index.rows())
    everything = likelihood_match_probability(*asked, *rows, 1.25, 0.75)
    everything = np.nan_to_num(everything, nan=-1)
    expected = np.argsort(-everything, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(found["indices"][:2], expected[:2])
    best = np.take_along_axis(everything, expected, 1)
    np.testing.assert_allclose(found["probability"][:2], best[:2])
    assert found["indices"][:2, 0].tolist() == [3, 9]
    assert found["indices"].dtype == np.int64
    assert (found["indices"][2] == -1).all()
    assert np.isnan(found["probability"][2]).all()


def test_search_for_more_than_there_is(folder, embedded):
    said = done("search", embedded["index"], embedded["query"], folder / "out.npz", "-k", 40)
    assert "vipe search: the index holds 28 poses: places from 28 to k are -1" in said
    found = load(folder / "out.npz")
    assert found["indices"].shape == found["probability"].shape == (3, 40)
    assert (found["indices"][:, 28:] == -1).all()
    assert not np.isin(found["indices"], [5, 6]).any()


def test_search_default_is_twenty(folder, embedded):
    done("search", embedded["index"], embedded["query"], folder / "out.npz")
    assert load(folder / "out.npz")["indices"].shape == (3, 20)


def test_search_counts_people_frame_by_frame(folder, model):
    done("embed", clip(folder / "clip.npz", 4, 3), folder / "many.npz", "--model", model)
    done("search", folder / "many.npz", folder / "many.npz", folder / "out.npz", "-k", 1)
    assert load(folder / "out.npz")["indices"][:, 0].tolist() == list(range(12))


def test_search_in_an_index_of_another_model(folder, embedded, tmp_path):
    other = make_model(tmp_path / "other.onnx", version="2")
    done("embed", clip(folder / "clip.npz", 3), folder / "query.npz", "--model", other)
    line = error_line("search", embedded["index"], folder / "query.npz", folder / "out.npz")
    assert "is of model test-model 1.2.3 (" in line
    assert line.endswith("embed both with the same model file")


def test_search_with_a_keypoint_file(folder, embedded):
    given = clip(folder / "clip.npz", 3)
    line = error_line("search", embedded["index"], given, folder / "out.npz")
    assert line.endswith("sigmoid_b: missing; make it with `vipe embed`")


def test_search_without_index(folder, embedded):
    line = error_line("search", folder / "none.npz", embedded["query"], folder / "out.npz")
    assert line.endswith("none.npz: No such file or directory")


@pytest.mark.parametrize("k", ["0", "-4", "many"])
def test_search_k_out_of_range(folder, embedded, k):
    line = error_line("search", embedded["index"], embedded["query"], folder / "o.npz", f"-k{k}")
    assert line.startswith("vipe search: argument -k: ")


def test_a_bar_on_a_terminal_only(folder, model):
    given = clip(folder / "clip.npz", 50)
    main, far = pty.openpty()
    command = [str(VIPE), "embed", str(given), str(folder / "out.npz"), "--model", str(model)]
    # rows, columns: a new pseudo-terminal has none, and tqdm draws nothing on it.
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("4H", 25, 100, 0, 0))
    os.set_blocking(main, False)
    subprocess.run(command, stderr=far, check=True, timeout=TIMEOUT)
    said = os.read(main, 100_000).decode()
    os.close(far)
    os.close(main)
    assert "pose/s" in said
