"""The retrieval suite on cases with known answers, and the published frame lists."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pytest

from tests.bodies import write_motion_file
from tests.training.scenes import camera_cache, oracle, task
from vipe_core.errors import VipeError
from vipe_training.datasets import join, load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import KeypointCoder
from vipe_training.evaluate.samples import frame_keys
from vipe_training.evaluate.samples.detections import REAL
from vipe_training.evaluate.samples.frame_keys import FrameKey
from vipe_training.evaluate.suites import retrieval
from vipe_training.evaluate.task import Contestant

H36M = REAL["h36m"].cameras
MPI = tuple(map(str, range(14)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VIPE_DATA", str(tmp_path))
    write_motion_file(tmp_path / "m.npz", 60)
    return tmp_path


@pytest.fixture
def known(folder):
    """Two contestants that know every view which the suite will render."""
    joints = protocol.choose(load_motion(["m.npz"]), 40)
    scenes = [
        protocol.render(joints, views, noise)
        for views in (protocol.chest4(), protocol.novel8())
        for noise in (0.0, 0.02)
    ]
    points = np.concatenate(scenes)
    return oracle(joints, points), oracle(joints, points, shuffled=True)


def test_the_oracle_finds_everything_and_the_shuffled_one_what_chance_gives(known):
    findings = retrieval.run(task([*known], "m.npz"))
    assert [table.title.split(":")[0] for table in findings.tables[:4]] == [
        *("chest4", "chest4+n", "novel8", "novel8+n")
    ]
    for table in findings.tables[:4]:
        assert table.rows["oracle"] == [100, 100, 100, 100]
        assert table.rows["shuffled"][0] < 15  # 40 poses
        assert table.rows["shuffled"][3] == pytest.approx(50, abs=15)  # 20 of 40
    assert findings.summary["oracle"]["novel8+n hit@1"] == 100
    assert findings.summary["oracle"]["novel8+n hit@1 without 25 %"] == 100
    matrix = findings.plots[1]
    assert [row[i] for i, row in enumerate(matrix.values)] == [None] * 8
    assert all(v == 100 for row in matrix.values for v in row if v is not None)


def test_the_gallery_shows_right_and_wrong_answers_with_their_error(known):
    findings = retrieval.run(task([*known], "m.npz"))
    good, mixed = findings.galleries
    assert len(good.rows) == len(mixed.rows) == 6
    assert all(len(row) == 6 and row[0].right is None for row in good.rows)
    assert all(row[1].right for row in good.rows)
    assert sum(not row[1].right for row in mixed.rows) >= 3
    assert "confidence" in good.rows[0][1].caption
    assert "NP-MPJPE 0.000" in good.rows[0][1].caption


def test_a_stopped_run_goes_on_with_what_is_kept(known, folder):
    first = retrieval.run(task([known[0]], "m.npz", folder=folder / "parts"))

    def never(*_):
        raise AssertionError("was to be read")

    lazy = replace(known[0], coder=replace_rank(known[0].coder, never))
    again = retrieval.run(task([lazy], "m.npz", folder=folder / "parts"))
    assert again.summary == first.summary
    assert again.galleries == first.galleries


def replace_rank(coder, rank):
    coder.rank = rank
    return coder


def test_who_does_not_code_is_counted(known):
    findings = retrieval.run(task([known[0], Contestant("mute", "mute")], "m.npz"))
    assert findings.skipped == ["mute does not code views"]
    assert set(findings.tables[0].rows) == {"oracle"}


def test_options_parse():
    parser = argparse.ArgumentParser()
    retrieval.add_options(parser)
    args = parser.parse_args(["--protocol", "3dhp-chest", "--frame-keys", "a", "b"])
    assert args.frame_keys == ["a", "b"]
    assert parser.parse_args([]).protocol == "rendered"


class TestRealCameras:
    def contestant(self, motion):
        points = np.moveaxis(np.asarray(motion.detections.points), 1, 0)
        return oracle(np.asarray(motion.joints), points)

    def test_human36m_takes_its_test_people_and_every_tenth_frame(self, folder):
        names = ["S9/Walking 1", "S11/Eating 2", "S1/Walking 1"]
        motion = camera_cache(folder, "h36m", names, H36M)
        findings = retrieval.run(task([self.contestant(motion)], "h36m", protocol="h36m"))
        assert findings.summary["oracle"]["h36m hit@1"] == 100
        assert findings.plots[1].columns == list(H36M)
        # 2 people x frames 0, 10, 20, 30: of eight poses one is right by chance, all by 20.
        shuffled = oracle(
            np.asarray(motion.joints),
            np.moveaxis(np.asarray(motion.detections.points), 1, 0),
            shuffled=True,
        )
        chance = retrieval.run(task([shuffled], "h36m", protocol="h36m")).summary["shuffled"]
        assert chance["h36m hit@1"] < 50
        assert chance["h36m hit@20"] == 100

    @pytest.mark.parametrize(
        ("name", "cameras"), [("3dhp-all", 11), ("3dhp-chest", 5), ("3dhp-unseen", 6)]
    )
    def test_cameras_of_mpi_inf_3dhp(self, folder, name, cameras):
        motion = camera_cache(folder, "3dhp", ["S1/Seq1"], MPI, fps=25.0)
        coder = Contestant("2D", "2D", KeypointCoder())
        findings = retrieval.run(task([coder], "3dhp", protocol=name))
        assert len(findings.plots[1].rows) == cameras
        assert len(motion) == 40

    def test_a_frame_that_one_camera_misses_is_left_out_for_all(self, folder):
        motion = camera_cache(folder, "h36m", ["S9/Walking 1"], H36M)
        file = folder / "h36m" / "visibility.npy"
        seen = np.load(file)
        seen[10, 2, :10] = 0
        np.save(file, seen)
        findings = retrieval.run(task([self.contestant(motion)], "h36m", protocol="h36m"))
        assert findings.skipped == [
            "oracle: 1 frames in which a camera shows fewer than 4 points",
        ]

    def test_a_missing_camera_is_one_clear_line(self, folder):
        camera_cache(folder, "3dhp", ["S1/Seq1"], MPI[:9])
        coder = Contestant("2D", "2D", KeypointCoder())
        with pytest.raises(VipeError, match="no camera 9, 10 in this data; it has 0, 1"):
            retrieval.run(task([coder], "3dhp", protocol="3dhp-all"))
        with pytest.raises(VipeError, match="no detections by real cameras"):
            retrieval.run(task([coder], "m.npz", protocol="3dhp-all"))
        with pytest.raises(VipeError, match="nobody of them"):
            retrieval.run(task([coder], "m.npz", protocol="h36m"))


class TestFrameKeys:
    def test_both_published_formats(self):
        assert frame_keys.parse("S11:Directions 1:54138969:000020\n") == FrameKey(
            "S11/Directions 1", "54138969", 20
        )
        assert frame_keys.parse("S1:Seq1:V0:C0:003370") == FrameKey("S1/Seq1", "0", 3370)
        for nonsense in ("", "S1", "S1:Seq1:V0:0:1", "S1:Walking:123:x", ":a:b:1"):
            assert frame_keys.parse(nonsense) is None

    def test_rows_are_found_by_sequence_camera_and_frame(self, folder):
        motion = camera_cache(folder, "h36m", ["S9/Walking 1", "S11/Photo"], H36M)
        lines = [
            *(f"S9:Walking 1:{camera}:000003" for camera in H36M),
            f"S11:TakingPhoto:{H36M[0]}:000007",  # the owners' name of Photo
            f"S9:Walking 1:{H36M[0]}:000999",
            "S9:Walking 1:11111111:000004",
        ]
        keys = [frame_keys.parse(line) for line in lines]
        rows, missed, others = frame_keys.match(keys, motion, H36M)
        np.testing.assert_array_equal(rows, [3, 47])
        assert (missed, others) == (1, 1)

    def test_thinned_sets_keep_the_numbers_of_the_video(self, folder):
        names, keys = ["S1/Seq2"], [FrameKey("S1/Seq2", "0", 20), FrameKey("S1/Seq2", "0", 21)]
        motion = camera_cache(folder, "3dhp", names, MPI, fps=50.0, max_fps=25.0)
        rows, missed, _ = frame_keys.match(keys, motion, ["0"])
        assert motion.frame[rows].tolist() == [10]
        assert missed == 1

    def test_names_of_clips_survive_joining_and_selecting(self, folder):
        one = camera_cache(folder, "one", ["S9/A 1"], H36M)
        two = camera_cache(folder, "two", ["S9/B 1", "S9/C 1"], H36M)
        joined = join([load_motion(["m.npz"]), one, two])
        kept = joined.select(joined.clip >= 3)
        assert [kept.names[clip] for clip in np.unique(kept.clip)] == ["S9/B 1", "S9/C 1"]

    def test_a_list_in_the_suite(self, folder):
        motion = camera_cache(folder, "h36m", ["S9/Walking 1"], H36M)
        listed = [f"S9:Walking 1:{camera}:{frame:06d}" for camera in H36M for frame in range(0, 9)]
        (folder / "keys.txt").write_text("\n".join([*listed, "S9:Eating:54138969:000000", ""]))
        points = np.moveaxis(np.asarray(motion.detections.points), 1, 0)
        rival = oracle(np.asarray(motion.joints), points)
        keys = [folder / "keys.txt"]
        findings = retrieval.run(task([rival], "h36m", protocol="h36m", frame_keys=keys))
        assert findings.skipped == ["oracle: 1 frame keys name no frame of the data"]
        assert findings.summary["oracle"]["h36m hit@1"] == 100

    def test_what_cannot_be_used_is_said(self, folder):
        motion = camera_cache(folder, "h36m", ["S9/Walking 1"], H36M)
        nowhere = [FrameKey("S9/Smoking", H36M[0], 3)]
        with pytest.raises(VipeError, match="none of 1 frame keys is of a frame of this data"):
            frame_keys.match(nowhere, motion, H36M)
        with pytest.raises(VipeError, match="prepare the set again"):
            frame_keys.match(nowhere, replace(motion, names=()), H36M)
        file = folder / "keys.txt"
        with pytest.raises(VipeError, match="cannot be read"):
            frame_keys.read([file])
        file.write_text("\n")
        with pytest.raises(VipeError, match="no key in it"):
            frame_keys.read([file])
        file.write_text("S9:Walking 1:54138969:000001\nframe 12\n")
        with pytest.raises(VipeError, match="line 2: 'frame 12' is no key"):
            frame_keys.read([file])
