"""Protocols against hand-computed cases; the oracle finds everything, chance finds chance."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import random_people
from vipe_core.errors import VipeError
from vipe_core.geometry import normalize_3d, np_mpjpe, procrustes, stature, to_body_frame
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder, KeypointCoder, LiftingCoder
from vipe_training.evaluate.metrics.lifting import evaluate_lifting
from vipe_training.evaluate.metrics.matches import Matches
from vipe_training.evaluate.metrics.occlusion import TARGETED
from vipe_training.evaluate.metrics.retrieval import (
    from_camera,
    hit_after_discarding,
    hit_at_k,
    over_pairs,
)

CODER = EmbeddingCoder(lambda points, visibility: (points, visibility))


def test_selected_poses_are_apart_and_reproducible():
    people = np.concatenate([random_people(30), random_people(30)])  # every pose twice
    chosen = protocol.select_poses(people, 100)
    assert len(chosen) == 30
    normal = normalize_3d(people[chosen], "joints17")[:, protocol.VOTING]
    for i in range(30):
        assert all(np_mpjpe(normal[i], normal[j]) >= 0.02 for j in range(30) if i != j)
    np.testing.assert_array_equal(chosen, protocol.select_poses(people, 100))
    assert len(protocol.select_poses(people, 7)) == 7
    with pytest.raises(VipeError, match="no pose"):
        protocol.select_poses(people[:0], 5)


def test_views_are_where_they_say():
    for view in protocol.novel8(3):
        assert abs(view.elevation) <= 30
        assert abs(view.roll) <= 15
        camera = view.camera()
        position = -camera.rotation.T @ camera.translation
        assert np.linalg.norm(position) == pytest.approx(4)
        assert np.degrees(np.arcsin(position[1] / 4)) == pytest.approx(view.elevation)
        azimuth = np.degrees(np.arctan2(position[0], position[2]))
        assert azimuth == pytest.approx(view.azimuth, abs=1e-6)


def test_noise_is_a_share_of_the_longest_torso_distance():
    people = random_people(300)
    clean = protocol.render(people, protocol.chest4())
    noisy = protocol.render(people, protocol.chest4(), noise=0.02)
    torso = clean[
        ..., BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip"), :
    ]
    longest = np.linalg.norm(torso[..., :, None, :] - torso[..., None, :, :], axis=-1).max((-2, -1))
    error = (noisy - clean) / longest[..., None, None]
    assert error.std() == pytest.approx(0.02, rel=0.02)


def test_the_head_top_does_not_vote():
    people = random_people(2)
    people[1] = people[0]
    people[1, JOINTS17.index("head")] += 0.5
    assert protocol.match_matrix(people).all()


def test_hit_at_k_on_a_hand_made_case():
    zero = np.zeros((3, 1))
    queries = [(np.array([[0.0], [10], [20]]), zero)] * 2
    index = [(np.array([[1.0], [2], [19]]), zero)] * 2
    # Pose 1 (at 10) ranks: 1 (8 away), 2 (9), 0 (9, later by its row): found first.
    curve = hit_at_k(CODER, queries, index, np.eye(3, dtype=bool))
    np.testing.assert_allclose(curve, [100, 100, 100])
    # Pose 0 is now nearest to index row 1: found second.
    index = [(np.array([[2.0], [1], [19]]), zero)] * 2
    curve = hit_at_k(CODER, queries, index, np.eye(3, dtype=bool))
    np.testing.assert_allclose(curve, [100 / 3, 100, 100], atol=1e-9)


def test_oracle_finds_everything_and_chance_finds_chance():
    people = random_people(60)
    matches = protocol.match_matrix(people)
    truth = normalize_3d(people, "joints17").reshape(60, -1)
    rng = np.random.default_rng(0)
    zero = np.zeros_like(truth)
    assert (hit_at_k(CODER, [(truth, zero)] * 3, [(truth, zero)] * 3, matches) == 100).all()
    noise = [(rng.normal(size=truth.shape), zero) for _ in range(12)]
    curve = hit_at_k(CODER, noise, noise, matches)
    assert curve[0] == pytest.approx(100 * matches.mean(), abs=1.5)
    assert (np.diff(curve) >= 0).all()


def test_discarding_the_uncertain_helps_who_knows_what_is_uncertain():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 5))
    lost = np.arange(40) < 10  # a quarter of the queries is noise, and says so
    codes = []
    for _ in range(2):
        mean = np.where(lost[:, None], rng.normal(size=truth.shape), truth)
        codes.append((mean, np.where(lost[:, None], 2.0, 0.01) * np.ones_like(truth)))
    kept = hit_after_discarding(CODER, codes, np.eye(40, dtype=bool))
    assert kept["0 %"] < kept["10 %"] < kept["25 %"] == kept["50 %"] == 100


def test_windows_match_when_every_frame_does():
    one, other = random_people(2)
    windows = np.array([[one, one], [one, other], [other, other]])
    expected = [[True, False, False], [False, True, False], [False, False, True]]
    np.testing.assert_array_equal(protocol.match_matrix(windows), expected)


def test_targeted_occlusions_are_ten_and_leave_the_torso():
    assert len(TARGETED) == 10
    torso = set(BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip", "nose"))
    for hidden in TARGETED.values():
        assert len(hidden) in (2, 4)
        assert not torso & set(hidden)


class TestMatches:
    def test_asking_about_a_ranking_agrees_with_the_table_of_all_pairs(self, monkeypatch):
        people = random_people(30)
        people[7] = people[3]
        ranking = np.random.default_rng(0).integers(-1, 30, (30, 9))
        table = Matches(people)
        few = Matches(people)
        monkeypatch.setattr("vipe_training.evaluate.metrics.matches._TABLE", 10)
        monkeypatch.setattr("vipe_training.evaluate.metrics.matches._ROWS", 8)
        np.testing.assert_array_equal(few.right(ranking), table.right(ranking))
        full = protocol.match_matrix(people)
        for row in range(30):
            for place, item in enumerate(ranking[row]):
                wanted = item >= 0 and full[row, item]
                assert few.right(ranking)[row, place] == wanted

    def test_the_error_is_that_of_the_definition_and_of_the_worst_frame(self):
        people = random_people(12).reshape(6, 2, 17, 3)
        normal = normalize_3d(people, "joints17")[:, :, protocol.VOTING]
        ranking = np.array([[1, 2], [0, 5]])
        found = Matches(people).error(ranking, np.array([4, 3]))
        for q, row in enumerate((4, 3)):
            for k in range(2):
                worst = max(np_mpjpe(normal[row, t], normal[ranking[q, k], t]) for t in range(2))
                assert found[q, k] == pytest.approx(worst, abs=1e-6)


def test_hits_camera_by_camera_add_up_to_hit_at_k():
    people = random_people(20)
    rng = np.random.default_rng(0)
    codes = [(rng.normal(size=(20, 4)), rng.uniform(size=(20, 4))) for _ in range(3)]
    matches = Matches(people)
    found = [from_camera(CODER, codes, camera, matches) for camera in range(3)]
    assert [one["hits"][camera] for camera, one in enumerate(found)] == [None] * 3
    curve = over_pairs(found, "hits")
    np.testing.assert_allclose(curve, hit_at_k(CODER, codes, codes, matches))
    kept = hit_after_discarding(CODER, codes, matches)
    np.testing.assert_allclose(over_pairs(found, "surest"), list(kept.values()), atol=0.01)


class TestKeypointCoder:
    def naive(self, a, b, shown):
        """One pair by the definition: scale and proper rotation from an SVD."""
        a, b = a[shown], b[shown]
        a = a - a.mean(0)
        a = a / np.sqrt((a * a).sum(1).mean())
        rotation, scale, shift = procrustes(a, b)
        return np.linalg.norm(scale * b @ rotation + shift - a, axis=1).mean()

    def test_agrees_with_an_alignment_of_each_pair(self):
        points = protocol.render(random_people(12), protocol.chest4()[:2])
        coder = KeypointCoder()
        codes = [coder.code(view, np.ones(view.shape[:-1])) for view in points]
        found = coder.distance(*codes)
        for i in range(12):
            for j in range(12):
                wanted = self.naive(points[0][i], points[1][j], np.ones(13, bool))
                assert found[i, j] == pytest.approx(wanted, abs=1e-5)

    def test_hidden_points_do_not_count_whatever_they_are(self):
        points = protocol.render(random_people(8), protocol.chest4()[:2])
        visible = np.ones(points.shape[:-1])
        visible[1, :, [2, 9]] = 0
        coder = KeypointCoder()
        before = coder.distance(*(coder.code(*view) for view in zip(points, visible, strict=True)))
        points[1, :, 2] = np.nan
        points[1, :, 9] = 1e6
        after = coder.distance(*(coder.code(*view) for view in zip(points, visible, strict=True)))
        np.testing.assert_array_equal(before, after)
        target = coder.code(points[0], visible[0])[0][0]
        flat = np.stack([target.real, target.imag], axis=1)
        shown = visible[1, 0] > 0
        rotation, scale, shift = procrustes(flat[shown], points[1, 0][shown])
        moved = scale * points[1, 0][shown] @ rotation + shift
        wanted = np.linalg.norm(moved - flat[shown], axis=1).mean()
        assert after[0, 0] == pytest.approx(wanted, abs=1e-5)

    def test_finds_the_turned_and_scaled_view_again(self):
        view = protocol.render(random_people(30), protocol.chest4()[:1])[0]
        coder = KeypointCoder()
        turned = 3 * view @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 50
        codes = [coder.code(points, np.ones(points.shape[:-1])) for points in (view, turned)]
        np.testing.assert_array_equal(coder.rank(*codes, 3)[:, 0], np.arange(30))
        assert (coder.uncertainty(codes[0]) == 0).all()

    def test_views_without_common_points_are_infinitely_far_apart(self):
        view = protocol.render(random_people(2), protocol.chest4()[:1])[0]
        left, right = np.arange(13) < 6, np.arange(13) >= 6
        coder = KeypointCoder()
        codes = [coder.code(view, np.tile(which, (2, 1))) for which in (left, right)]
        assert np.isinf(coder.distance(*codes)).all()


def test_a_lifter_that_sees_the_truth_in_another_frame_finds_everything(monkeypatch):
    people = random_people(25)
    coder = LiftingCoder(lambda points, visibility: (points[..., [2, 0, 1]], np.ones((25, 17))))
    code = coder.code(people, np.ones((25, 17)))
    whole = coder.rank(code, code, 5)
    assert (whole[:, 0] == np.arange(25)).all()
    monkeypatch.setattr("vipe_training.evaluate.coders._BLOCK_PAIRS", 60)  # blocks of two rows
    np.testing.assert_array_equal(coder.rank(code, code, 5), whole)


class TestLifting:
    def test_perfect_lifting(self):
        people = random_people(20)
        truth = to_body_frame(people, "joints17") / stature(people)[:, None, None]
        scores = evaluate_lifting(lambda p, v: (truth, np.full((20, 17), 0.1)), people)
        assert scores["mpjpe"] == pytest.approx(0, abs=1e-6)
        assert scores["coverage50"] == 100
        assert scores["mean_pose"] > 50

    def test_known_error_and_calibrated_spread(self):
        people = random_people(200)
        tall = stature(people)[:, None, None]
        truth = to_body_frame(people, "joints17") / tall
        rng = np.random.default_rng(0)

        def lift(points, visibility):
            return truth + rng.normal(0, 0.05, truth.shape), np.full(truth.shape[:2], 0.05)

        scores = evaluate_lifting(lift, people)
        # The mean length of a 3D Gaussian is sigma * sqrt(8 / pi).
        expected = 1000 * 0.05 * np.sqrt(8 / np.pi) * tall.mean()
        assert scores["mpjpe"] == pytest.approx(expected, rel=0.02)
        assert scores["coverage50"] == pytest.approx(50, abs=1)
        assert scores["coverage90"] == pytest.approx(90, abs=1)

    def test_wrong_height_costs_what_it_should(self):
        people = random_people(30)
        tall = stature(people)
        truth = to_body_frame(people, "joints17") / tall[:, None, None]
        scores = evaluate_lifting(lambda p, v: (truth, np.ones((30, 17))), people, height=1.7)
        radius = np.linalg.norm(truth, axis=-1).mean(1)
        assert scores["mpjpe"] == pytest.approx(
            1000 * np.mean(np.abs(1.7 - tall) * radius), rel=1e-3
        )
