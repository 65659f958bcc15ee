"""vipe search in what vipe index made, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from vipe_core import embedding_file, keypoint_file, runtime, skeletons
from vipe_core.cli import search as verb
from vipe_core.errors import VipeError
from vipe_core.gallery import Gallery
from vipe_core.keypoint_file import KeypointFile

ARM = "left_shoulder,left_elbow,left_wrist,nose"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", sigmoid_a=1.25)


def clip(path: Path, *lead: int, seed: int = 0, label: str | None = None) -> Path:
    points = np.random.default_rng(seed).normal(300, 80, (*lead, 13, 2))
    content = KeypointFile(points, np.ones((*lead, 13)), "body13", fps=2.0, label=label)
    keypoint_file.write(path, content)
    return path


def refused(*args: object) -> str:
    """The line of a call that must fail as bad input does."""
    with pytest.raises(VipeError) as caught:
        verb.run([str(arg) for arg in args])
    (line,) = str(caught.value).splitlines()
    return line


@pytest.fixture(scope="module")
def made(tmp_path_factory, model) -> Path:
    """A folder with two clips, an index of both, and the embeddings of the first."""
    folder = tmp_path_factory.mktemp("made")
    clip(folder / "a.npz", 30, label="wave")
    clip(folder / "b.npz", 12, 2, seed=1, label="it's")
    done = vipe("index", folder / "poses", folder / "a.npz", folder / "b.npz", "--model", model)
    assert done.returncode == 0, done
    done = vipe("embed", folder / "a.npz", folder / "embedded.npz", "--model", model)
    assert done.returncode == 0, done
    return folder


@pytest.fixture
def search(made, model, tmp_path, capsys):
    """Call the verb on the index and load what it wrote to ``out``."""

    def call(query: str, *options: object, out: str = "found.npz") -> dict:
        given = (made / "poses", made / query, tmp_path / out, "--model", model, *options)
        assert verb.run([str(word) for word in given]) == 0
        said = capsys.readouterr()
        call.said, (call.summary,) = said.err, said.out.splitlines()
        if out.endswith(".json"):
            return json.loads((tmp_path / out).read_text())
        with np.load(tmp_path / out) as archive:
            return dict(archive)

    return call


def test_a_result_of_embed(made, search, tmp_path):
    found = search("embedded.npz", "-k", 3, "--apart", 0)
    found.pop("model")
    names = {"indices", "probability", "source", "stamp_s", "body", "label"}
    assert {name: array.shape for name, array in found.items()} == dict.fromkeys(names, (30, 3))
    assert found["indices"].dtype == np.int64
    gallery, query = Gallery.open(made / "poses"), embedding_file.read(made / "embedded.npz")
    for row in (0, 7, 29):
        expected = gallery.search(query.mean[row], query.variance[row], 3)
        assert found["indices"][row].tolist() == [one.row for one in expected]
        np.testing.assert_allclose(found["probability"][row], [e.probability for e in expected])
        assert found["stamp_s"][row].tolist() == [one.stamp_s for one in expected]
        assert found["source"][row].tolist() == [one.source for one in expected]
        assert found["label"][row].tolist() == [one.label for one in expected]
    assert search.said == ""
    row, place = np.unravel_index(found["probability"].argmax(), (30, 3))
    where = f"{Path(found['source'][row, place]).name} at {found['stamp_s'][row, place]:.2f} s"
    best = f"best {found['probability'].max():.0%}: {where}"
    assert search.summary == f"{tmp_path}/found.npz: 90 answers to 30 poses, {best}"


def test_a_keypoint_file_is_what_embed_would_make_of_it(search):
    first, second = search("a.npz"), search("embedded.npz")
    np.testing.assert_array_equal(first["indices"], second["indices"])


def test_a_moment_of_somebody_and_only_some_joints(made, model, search):
    found = search("b.npz", "--at", 2.6, "--person", 1, "--joints", ARM, "-k", 4, "--apart", 0)
    content, loaded = keypoint_file.read(made / "b.npz"), runtime.load(model)
    seen = [joint in ARM.split(",") for joint in skeletons.BODY13.joints]
    asked = loaded(content.points[5, 1:], np.float32([seen]))
    expected = Gallery.open(made / "poses").search(asked.mean[0], asked.variance[0], 4)
    assert found["indices"].tolist() == [[one.row for one in expected]]
    everything = search("b.npz", "--at", 2.6, "--person", 1, "-k", 4, "--apart", 0)
    assert everything["probability"].tolist() != found["probability"].tolist()


def test_filters(made, search):
    found = search("embedded.npz", "--label", "it's", "--since", 1, "--until", 2, "--apart", 0)
    assert (found["indices"] >= 0).sum(1).tolist() == [6] * 30
    assert set(found["label"][:, :6].ravel()) == {"it's"}
    assert set(found["stamp_s"][:, :6].ravel()) == {1, 1.5, 2}
    assert (found["indices"][:, 6:] == -1).all()
    assert np.isnan(found["probability"][:, 6:]).all()
    assert search.said == "vipe search: fewer than 20 answers to 30 of 30\n"
    found = search("embedded.npz", "--source", made / "a.npz", "-k", 5)
    assert set(found["source"].ravel()) == {str(made / "a.npz")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--label", "nope"], "--label nope"),
        (["--source", "/no/such", "--since", 1], "--source /no/such --since 1.0"),
    ],
)
def test_a_filter_that_nothing_passes(search, tmp_path, options, said):
    found = search("a.npz", "--at", 3, "-k", 2, "--sheet", tmp_path / "s.jpg", *options)
    assert found["indices"].tolist() == [[-1, -1]]
    assert search.said.splitlines() == [
        f"vipe search: no pose in the index passes the filter: {said}",
        f"vipe search: no answers to show: {tmp_path}/s.jpg is not written",
    ]
    assert search.summary == f"{tmp_path}/found.npz: 0 answers to 1 pose"
    assert not (tmp_path / "s.jpg").exists()


@pytest.mark.parametrize(("name", "starts"), [("s.JPEG", b"\xff\xd8"), ("s.png", b"\x89PNG")])
def test_a_sheet_is_what_its_name_says(search, tmp_path, name, starts):
    search("a.npz", "--at", 3, "-k", 1, "--sheet", tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(starts)
    assert "found.npz: 1 answer to 1 pose, best " in search.summary


def test_answers_are_a_second_apart_unless_told_otherwise(search):
    for options, least in (((), 1.0), (("--apart", 3), 3.0), (("--apart", 0), 0.5)):
        found = search("a.npz", "--source", "a.npz", "-k", 8, *options)
        gaps = [
            np.diff(np.sort(stamps[np.array(source) != ""])).min()
            for stamps, source in zip(found["stamp_s"], found["source"], strict=True)
            if (source != "").sum() > 1
        ]
        assert all(gap >= least for gap in gaps)


def test_json_thumbnails_and_a_sheet(made, search, tmp_path):
    import cv2

    found = search(
        *("a.npz", "--at", 3, "-k", 15, "--apart", 0),
        *("--thumbnails", tmp_path / "pictures", "--sheet", tmp_path / "sheet.jpg"),
        out="found.json",
    )
    assert found["model"] == "test-model 1.2.3"
    (answers,) = found["queries"]
    assert len(answers) == 15
    assert answers[0].keys() == {"source", "stamp_s", "body", "label", "probability", "row"}
    assert [a["probability"] for a in answers] == sorted(
        (a["probability"] for a in answers), reverse=True
    )
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == [f"0000-{place:03d}.jpg" for place in range(15)]
    assert cv2.imread(str(tmp_path / "pictures" / pictures[3])).shape == (96, 96, 3)
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert sheet.shape[1] > 10 * 128  # ten side by side, two lines: the pose asked for and 15
    assert 2 * 128 < sheet.shape[0] < 3 * 150
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 50


def test_nobody_in_some_frames(made, search, tmp_path):
    content = keypoint_file.read(made / "a.npz")
    content.points[4] = np.nan
    keypoint_file.write(made / "gaps.npz", content)
    found = search("gaps.npz", "-k", 2)
    assert search.said == "vipe search: no person in 1 of 30 queries: their indices are -1\n"
    assert np.flatnonzero((found["indices"] == -1).all(1)).tolist() == [4]


def test_two_files_are_searched_exactly_and_without_lancedb(made, tmp_path):
    given = (made / "embedded.npz", made / "embedded.npz", tmp_path / "found.json")
    (tmp_path / "lancedb.py").write_text("raise SystemExit('lancedb was imported')")
    done = vipe("search", *given, "-k", 2, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    queries = json.loads((tmp_path / "found.json").read_text())["queries"]
    assert [query[0]["row"] for query in queries] == list(range(30))


class TestBadInput:
    """One line and status 2."""

    def line(self, made: Path, model: Path, query: str, *options: object) -> str:
        out = made / "never.npz"
        line = refused(made / "poses", made / query, out, "--model", model, *options)
        assert not out.exists()
        return line

    def test_as_the_command_says_it(self, made, tmp_path):
        line = error_line("search", tmp_path / "none", made / "a.npz", tmp_path / "o.npz")
        assert line.startswith(f"vipe search: no index of poses at {tmp_path}/none: make it with")

    def test_an_empty_index(self, made, model, tmp_path):
        Gallery.create(tmp_path / "empty", runtime.load(model))
        line = refused(tmp_path / "empty", made / "a.npz", tmp_path / "o.npz")
        assert line.endswith(f"index {tmp_path}/empty is empty: add to it with `vipe index`")

    def test_no_such_index(self, made, tmp_path):
        line = refused(tmp_path / "none", made / "a.npz", tmp_path / "o.npz")
        assert "no index of poses at" in line
        assert line.endswith("FILES...`")

    def test_a_file_that_is_no_index(self, made, tmp_path):
        (tmp_path / "text").write_text("hello")
        line = refused(tmp_path / "text", made / "a.npz", tmp_path / "o.npz")
        assert line == f"embedding file {tmp_path}/text: not an .npz"

    def test_a_folder_that_is_no_index(self, made, tmp_path):
        line = refused(tmp_path, made / "a.npz", tmp_path / "o.npz")
        assert f"no index of poses at {tmp_path}" in line

    def test_an_index_of_another_model(self, made, tmp_path):
        other = make_model(tmp_path / "other.onnx", version="2")
        line = self.line(made, other, "a.npz")
        assert "poses is of model test-model 1.2.3 (" in line
        assert "index anew" in line
        vipe("embed", made / "a.npz", tmp_path / "e.npz", "--model", other)
        line = refused(made / "poses", tmp_path / "e.npz", tmp_path / "o.npz")
        assert line.endswith("embed it with the model of the index")

    def test_embeddings_of_another_size(self, made, model, tmp_path):
        content = embedding_file.read(made / "embedded.npz")
        fields = vars(content) | {"mean": content.mean[:, :8], "variance": content.variance[:, :8]}
        embedding_file.write(tmp_path / "e.npz", embedding_file.EmbeddingFile(**fields))
        line = refused(made / "poses", tmp_path / "e.npz", tmp_path / "o.npz")
        assert line.endswith("has embeddings of size 16, the pose asked for has 8")

    def test_nobody(self, made, model):
        points = np.full((3, 13, 2), np.nan)
        empty = KeypointFile(points, np.zeros((3, 13)), "body13", fps=2.0)
        keypoint_file.write(made / "nobody.npz", empty)
        assert self.line(made, model, "nobody.npz").endswith("no person is seen there")
        line = self.line(made, model, "nobody.npz", "--at", 0)
        assert line.endswith("no person is seen at that moment")

    def test_unknown_joints(self, made, model):
        line = self.line(made, model, "a.npz", "--joints", "left_wrist,tail,nose,wing")
        assert "unknown joint tail, wing; known: nose, left_shoulder" in line

    def test_too_few_joints(self, made, model):
        line = self.line(made, model, "a.npz", "--joints", "left_wrist,nose")
        assert line.endswith("2 joints say too little: name 4 or more")

    def test_joints_of_embeddings(self, made, model):
        line = self.line(made, model, "embedded.npz", "--joints", ARM)
        assert line.endswith("joints can be left out of keypoints only")

    def test_several_people(self, made, model):
        line = self.line(made, model, "b.npz", "--at", 1)
        assert line.endswith("2 people at that moment: name one of 0, 1 (--person)")

    def test_no_such_person(self, made, model):
        line = self.line(made, model, "b.npz", "--person", "7")
        assert line.endswith("no person '7'; there: 0, 1")

    def test_no_such_moment(self, made, model):
        line = self.line(made, model, "a.npz", "--at", 99)
        assert line.endswith("lasts 14.5 s: there is no moment at 99 s")

    @pytest.mark.parametrize("at", ["-1", "nan", "inf"])
    def test_a_moment_that_is_none(self, made, model, at):
        line = self.line(made, model, "a.npz", "--at", at)
        assert f"argument --at: seconds from 0, not {at}" in line

    def test_a_time_after_its_end(self, made, model):
        line = self.line(made, model, "none.mp4", "--since", 3, "--until", 2)
        assert line == "since 3 s lies after until 2 s"

    def test_a_sheet_that_is_no_picture(self, made, model):
        line = self.line(made, model, "none.mp4", "--sheet", made / "sheet.txt")
        assert line == f"cannot write {made}/sheet.txt: a sheet's name ends in .jpg, .jpeg, .png"

    def test_no_such_query(self, made, model):
        assert "none.npz: No such file or directory" in self.line(made, model, "none.npz")
        assert self.line(made, model, "none.mp4").endswith("none.mp4 does not exist")

    @pytest.mark.parametrize("k", ["0", "-4", "100001"])
    def test_k_out_of_range(self, made, model, k):
        assert "argument -k: from 1 to 100,000" in self.line(made, model, "a.npz", f"-k{k}")

    def test_apart_out_of_range(self, made, model):
        assert "argument --apart: seconds" in self.line(made, model, "a.npz", "--apart=-1")

    def test_options_of_an_index_for_a_file(self, made, tmp_path):
        files = (made / "embedded.npz", made / "embedded.npz", tmp_path / "o.npz")
        line = refused(*files, "--label", "wave")
        assert line.endswith("--label needs the folder of an index (see vipe index)")

    def test_an_output_that_is_a_folder(self, made, tmp_path):
        line = refused(made / "poses", made / "a.npz", tmp_path)
        assert line == f"cannot write {tmp_path}: Is a directory"
