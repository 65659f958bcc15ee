"""Sides that the detector exchanged are put right, and no others."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from tests.bodies import standing
from vipe_core import runtime, skeletons
from vipe_core.bodies import Bodies2D, Estimates
from vipe_core.errors import VipeError
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_core.swap_evidence import MIRROR, exchange, follow, spread_evidence, time_evidence
from vipe_core.swaps import SwapFilter, SwapRepair, _chain, _Tracks

PARAMETERS = SwapFilter()
RATES = [15, 30, 60]
STRIDE = np.zeros((13, 3))
STRIDE[BODY13.indices("left_ankle", "right_wrist"), 2] = 0.3
STRIDE[BODY13.indices("right_ankle", "left_wrist"), 2] = -0.3


def seen(yaw: float = 0.0, stride: float = 0.5) -> np.ndarray:
    """(13, 2) pixels of a person of 350, in mid-step, turned by ``yaw`` radians; 0: face on."""
    body = standing()[list(JOINTS17.indices(*BODY13.joints))] + stride * STRIDE
    across = math.cos(yaw) * body[:, 0] + math.sin(yaw) * body[:, 2]
    return np.stack([300 + 200 * across, 500 - 200 * body[:, 1]], axis=-1).astype(np.float32)


def noisy(points: np.ndarray, rng: np.random.Generator, pixels: float = 4.0) -> np.ndarray:
    return (points + rng.normal(0, pixels, points.shape)).astype(np.float32)


def mute(points: np.ndarray, visibility: np.ndarray | None = None) -> Estimates:
    """A model without a pose. Its embedding says which labels it saw."""
    return Estimates(mean=points.reshape(len(points), 26).copy())


class Witness:
    """A model that is surer of labels with the left side on the image's right, by ``nats``."""

    def __init__(self, nats: float) -> None:
        self.nats = nats
        self.calls: list[int] = []

    def __call__(self, points: np.ndarray, visibility: np.ndarray | None = None) -> Estimates:
        self.calls.append(len(points))
        left, right = BODY13.indices("left_shoulder", "right_shoulder")
        wrong = points[:, left, 0] < points[:, right, 0]
        std = np.exp(np.where(wrong, self.nats / 17, 0))[:, None] * np.full(17, 0.05)
        joints = np.zeros((len(points), 17, 3))
        return Estimates(mean=points.reshape(len(points), 26), joints=joints, std=std)


def run(frames, swapped, fps=30, model=mute, ids=("1",), visibility=None):
    """What is exchanged (F, P) of frames (F, 13, 2) or (F, P, 13, 2)."""
    repair, found = SwapRepair(model), []
    for k, (points, wrong) in enumerate(zip(frames, swapped, strict=True)):
        points = points.reshape(-1, 13, 2)
        shown = exchange(points, np.broadcast_to(wrong, len(points)))
        people = Bodies2D.from_arrays(shown, visibility, track_ids=ids)
        found.append(repair.update(people, k / fps, model(people.points, people.visibility)))
    return np.array([each.swapped for each in found]), found


def still(seconds: float, fps: int, yaw: float = 0.3, seed: int = 0, pixels=4.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([noisy(seen(yaw), rng, pixels) for _ in range(round(seconds * fps))])


def between(count: int, first: int, last: int) -> np.ndarray:
    return (np.arange(count) >= first) & (np.arange(count) < last)


class TestTimeEvidence:
    def test_against_a_loop(self):
        rng = np.random.default_rng(0)
        before, now = rng.uniform(0, 300, (2, 4, 13, 2))
        before[1, 3] = now[2, 6] = np.nan
        visibility, gap = rng.uniform(size=(4, 13)), np.array([0.01, 0.1, 0.5, 1.0])
        found = time_evidence(before, now, visibility, gap, PARAMETERS)
        for p in range(4):
            size = np.linalg.norm(np.nanmax(before[p], axis=0) - np.nanmin(before[p], axis=0))
            use = [
                j
                for j in range(13)
                if np.isfinite([*before[p, j], *before[p, MIRROR[j]], *now[p, j]]).all()
            ]
            costs = []
            for label in (lambda j: MIRROR[j], lambda j: j):
                gaps = {j: now[p, j] - before[p, label(j)] for j in use}
                total = sum(visibility[p, j] for j in use)
                shift = sum(visibility[p, j] * gaps[j] for j in use) / total
                cost = 0.0
                for j in use:
                    rigid = BODY13.joints[j].split("_")[-1] in ("nose", "shoulder", "hip")
                    speed = PARAMETERS.torso_speed if rigid else PARAMETERS.limb_speed
                    spread = (PARAMETERS.noise**2 + (speed * gap[p] / 2) ** 2) * size**2
                    off = ((gaps[j] - shift) ** 2).sum()
                    cost += 2 * visibility[p, j] * math.log(1 + off / (2 * spread))
                costs.append(cost)
            wanted = PARAMETERS.time_weight * (costs[0] - costs[1])
            assert found[p] == pytest.approx(wanted, abs=1e-9)

    def test_exchanged_labels_say_the_opposite_and_a_shift_says_nothing(self):
        before = seen(0.2)[None]
        now = noisy(before, np.random.default_rng(1))
        gap, all_seen = np.array([1 / 30]), np.ones((1, 13))
        says = time_evidence(before, now, all_seen, gap, PARAMETERS)
        assert says > 5
        other = time_evidence(before, now[:, MIRROR], all_seen, gap, PARAMETERS)
        assert other == pytest.approx(-says)
        moved = time_evidence(before, now + np.array([40, -9]), all_seen, gap, PARAMETERS)
        assert moved == pytest.approx(says, rel=1e-5)

    def test_nothing_is_said_where_sides_coincide_or_nothing_is_seen(self):
        profile = seen(math.pi / 2, stride=0.0)[None]
        profile = (profile + profile[:, MIRROR]) / 2
        gap, all_seen = np.array([1 / 30]), np.ones((1, 13))
        says = time_evidence(profile, profile, all_seen, gap, PARAMETERS)
        assert says == pytest.approx(0)
        nothing = np.full((1, 13, 2), np.nan)
        assert time_evidence(nothing, nothing, 0 * all_seen, gap, PARAMETERS) == 0
        assert time_evidence(seen()[None], seen()[None], 0 * all_seen, gap, PARAMETERS) == 0

    def test_a_joint_remembered_on_one_side_only_says_nothing(self):
        before = seen()[None].copy()
        before[0, BODY13.index("left_wrist")] = np.nan
        now = before.copy()
        gap, all_seen = np.array([1 / 30]), np.ones((1, 13))
        says = time_evidence(before, now, all_seen, gap, PARAMETERS)
        now[0, BODY13.index("right_wrist")] += 200
        assert time_evidence(before, now, all_seen, gap, PARAMETERS) == pytest.approx(says)


def test_spread_evidence_against_a_loop_and_without_a_person():
    rng = np.random.default_rng(0)
    std, other = rng.uniform(0.02, 0.2, (2, 3, 17))
    std[2] = np.nan
    joints = np.zeros((3, 17, 3))
    found = spread_evidence(
        Estimates(joints=joints, std=std), Estimates(joints=joints, std=other), PARAMETERS
    )
    for row in range(2):
        nats = sum(math.log(other[row, j]) - math.log(std[row, j]) for j in range(17))
        assert found[row] == pytest.approx(PARAMETERS.spread_weight * nats)
    assert found[2] == 0


class TestMemory:
    def test_follows_a_body_at_once_and_joints_no_faster_than_their_speed(self):
        before = seen()[None]
        now = before + np.array([30, 20])
        gap = np.array([0.1])
        np.testing.assert_allclose(follow(before, now, gap, PARAMETERS), now, atol=1e-4)
        ankle, wrist = BODY13.indices("left_ankle", "left_wrist")
        now[0, ankle] += [0, 130]  # everything else is now left behind by 10
        size = np.linalg.norm(before[0].max(axis=0) - before[0].min(axis=0))
        moved = follow(before, now, gap, PARAMETERS)
        shifted = before + np.array([30, 30])
        step = np.linalg.norm(moved[0, ankle] - shifted[0, ankle])
        assert step == pytest.approx(min(0.1 * PARAMETERS.limb_speed * size, 120), rel=1e-4)
        np.testing.assert_allclose(moved[0, wrist], now[0, wrist], atol=1e-3)

    def test_a_jump_is_not_followed(self):
        before = seen()[None]
        moved = follow(before, before[:, MIRROR], np.array([1 / 60]), PARAMETERS)
        left, right = BODY13.indices("left_shoulder", "right_shoulder")
        assert moved[0, left, 0] > moved[0, right, 0]

    def test_joints_that_come_and_go(self):
        before, now = seen()[None].copy(), seen()[None] + 10
        knee, elbow, ankle = BODY13.indices("left_knee", "left_elbow", "left_ankle")
        before[0, knee] = before[0, ankle] = now[0, elbow] = now[0, ankle] = np.nan
        moved = follow(before, now, np.array([0.1]), PARAMETERS)
        np.testing.assert_allclose(moved[0, knee], now[0, knee])
        np.testing.assert_allclose(moved[0, elbow], before[0, elbow] + 10, atol=1e-3)
        assert np.isnan(moved[0, ankle]).all()


def test_the_chain_against_the_formula():
    log_odds, gap, change = np.array([2.0, -1.5]), np.array([0.1, 0.4]), np.array([3.0, -0.7])
    memory_swapped = np.array([False, True])
    before = _Tracks(gap, np.zeros((2, 13, 2)), memory_swapped, log_odds, gap)
    found = _chain(before, change, PARAMETERS)
    enter, leave = PARAMETERS.enter_per_s, PARAMETERS.leave_per_s
    for p in range(2):
        right = 1 / (1 + math.exp(-log_odds[p]))
        fade = 1 - math.exp(-(enter + leave) * gap[p])
        swaps, recovers = (rate / (enter + leave) * fade for rate in (enter, leave))
        step = [[1 - swaps, swaps], [recovers, 1 - recovers]]
        wanted = np.zeros((2, 2))
        for then in range(2):
            for now in range(2):
                same = (then == now) != memory_swapped[p]
                likely = math.exp((change[p] if same else -change[p]) / 2)
                wanted[then, now] = (right, 1 - right)[then] * step[then][now] * likely
        np.testing.assert_allclose(np.exp(found[p]), wanted, rtol=1e-9)


class TestSwaps:
    @pytest.mark.parametrize("fps", RATES)
    @pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi - 0.4])
    def test_inside_a_stream_are_undone_at_once(self, fps, yaw):
        frames = still(3, fps, yaw)
        wrong = between(len(frames), 2 * fps, 2 * fps + fps // 2)
        found, repaired = run(frames, wrong, fps)
        np.testing.assert_array_equal(found[:, 0], wrong)
        for k in np.flatnonzero(wrong):
            np.testing.assert_array_equal(repaired[k].people.points[0], frames[k])
            # The estimates are those of the labels that the person has now.
            np.testing.assert_array_equal(repaired[k].estimates.mean[0], frames[k].ravel())

    def test_that_flicker_are_undone(self):
        frames = still(4, 30)
        wrong = between(120, 60, 120) & (np.random.default_rng(0).random(120) < 0.4)
        np.testing.assert_array_equal(run(frames, wrong)[0][:, 0], wrong)

    def test_that_last_are_undone_while_the_time_before_was_longer(self):
        frames = still(6, 30)
        wrong = between(180, 90, 180)
        found = run(frames, wrong)[0][:, 0]
        assert not found[:90].any()
        assert found[90:135].all()

    def test_that_never_end_are_believed_in_the_end(self):
        frames = still(23, 15)
        wrong = between(len(frames), 15 * 15, len(frames))
        found = run(frames, wrong, 15)[0][:, 0]
        assert found[15 * 15 : 17 * 15].all()
        assert not found[-15:].any()

    def test_of_one_person_leave_the_other_alone(self):
        frames = np.stack([still(2, 30), still(2, 30, 1.0, seed=1) + np.array([500, 0])], axis=1)
        wrong = np.zeros((60, 2), bool)
        wrong[45:55, 1] = True
        found, repaired = run(frames.astype(np.float32), wrong, ids=("a", "b"))
        np.testing.assert_array_equal(found, wrong)
        np.testing.assert_allclose(repaired[50].people.points, frames[50], atol=1e-3)

    def test_of_half_a_body_are_undone(self):
        frames = still(3, 30)
        frames[:, BODY13.index("left_hip") :] = np.nan
        frames[::2, BODY13.index("left_wrist")] = np.nan
        wrong = between(90, 60, 80)
        np.testing.assert_array_equal(run(frames, wrong)[0][:, 0], wrong)

    def test_take_visibility_with_them(self):
        frames, shown = still(3, 30), np.linspace(0.5, 1, 13)[None]
        wrong = between(90, 60, 80)
        _, repaired = run(frames, wrong, visibility=shown)
        there = repaired[70].people
        np.testing.assert_allclose(there.visibility, shown[:, MIRROR], rtol=1e-6)


class TestBeginnings:
    def test_swapped_and_short_are_revised_by_what_follows(self):
        frames = still(3, 30)
        found = run(frames, between(90, 0, 6))[0][:, 0]
        assert not found[36:].any()
        # Until then it may follow the wrong labels, or leave the detector's.
        assert found.sum() <= 30

    def test_swapped_are_revised_within_half_a_second_by_a_model_that_knows(self):
        frames = still(3, 30)
        found = run(frames, np.ones(90, bool), model=Witness(8.0))[0][:, 0]
        assert found[15:].all()

    def test_right_stay_right_against_a_model_that_is_slightly_wrong(self):
        frames = still(3, 30)
        assert not run(frames, np.zeros(90, bool), model=Witness(-0.5))[0].any()


class TestLeftAlone:
    @pytest.mark.parametrize("fps", RATES)
    @pytest.mark.parametrize("lasts", [0.5, 1.0])
    def test_a_person_who_turns_round(self, fps, lasts):
        rng = np.random.default_rng(0)
        done = np.clip((np.arange(4 * fps) / fps - 1) / lasts, 0, 1)
        yaw = math.pi * (3 * done**2 - 2 * done**3)
        frames = np.stack([noisy(seen(angle), rng) for angle in yaw])
        for model in (mute, Witness(1.0)):
            assert not run(frames, np.zeros(len(frames), bool), fps, model)[0].any()

    @pytest.mark.parametrize("stride", [0.0, 0.5])
    def test_a_person_in_profile(self, stride):
        rng = np.random.default_rng(0)
        frames = np.stack([noisy(seen(math.pi / 2, stride), rng, 6) for _ in range(300)])
        assert not run(frames, np.zeros(300, bool))[0].any()

    def test_a_person_who_walks_by(self):
        rng = np.random.default_rng(0)
        step = np.sin(2 * math.pi * np.arange(120) / 30)
        frames = [noisy(seen(1.2, s), rng) + np.array([8 * k, 0]) for k, s in enumerate(step)]
        assert not run(np.stack(frames).astype(np.float32), np.zeros(120, bool))[0].any()

    def test_a_person_without_an_id(self):
        model = Witness(8.0)
        found = run(still(2, 30), between(60, 30, 60), model=model, ids=("",))[0]
        assert not found.any()
        assert model.calls == [1] * 60  # the caller's own

    def test_a_person_without_an_id_beside_one_with_an_id(self):
        model = Witness(8.0)
        repair = SwapRepair(model)
        people = Bodies2D.from_arrays(np.stack([seen(), seen()])[:, MIRROR], track_ids=("", "1"))
        estimates = model(people.points)
        found = repair.update(people, 0.0, estimates)
        assert model.calls == [2, 1]
        np.testing.assert_array_equal(found.swapped, [False, True])
        np.testing.assert_array_equal(found.people.points[0], people.points[0])
        np.testing.assert_array_equal(found.estimates.pose()[1][0], estimates.pose()[1][0])

    def test_nobody(self):
        repair = SwapRepair(mute)
        nobody = Bodies2D.from_arrays(np.empty((0, 13, 2)))
        found = repair.update(nobody, 0.0, mute(nobody.points))
        assert len(found.people) == 0
        assert found.swapped.shape == (0,)

    def test_a_person_of_whom_nothing_is_seen(self):
        frames = np.full((30, 13, 2), np.nan, np.float32)
        assert not run(frames, np.zeros(30, bool))[0].any()


class TestMemoryOfTracks:
    def after(self, gap: float, ids: tuple[str, str] = ("1", "1")) -> bool:
        """Whether a swap is undone ``gap`` seconds after 2 s of a person."""
        repair, frames = SwapRepair(mute), still(2, 30)
        for k, points in enumerate(frames):
            people = Bodies2D.from_arrays(points[None], track_ids=ids[:1])
            repair.update(people, k / 30, mute(people.points))
        people = Bodies2D.from_arrays(frames[:1, MIRROR], track_ids=ids[1:])
        return bool(repair.update(people, 59 / 30 + gap, mute(people.points)).swapped[0])

    @pytest.mark.parametrize(
        ("gap", "ids", "wanted"),
        [
            (0.03, ("1", "1"), True),
            (0.03, ("1", "2"), False),
            (1.6, ("1", "1"), False),
            (-0.5, ("1", "1"), False),
        ],
    )
    def test_lasts_a_short_gap_of_the_same_track(self, gap, ids, wanted):
        assert self.after(gap, ids) is wanted

    def test_is_dropped_when_time_goes_back(self):
        repair, frames = SwapRepair(mute), still(2, 30)
        for k, points in enumerate(frames):
            people = Bodies2D.from_arrays(points[None], track_ids=("1",))
            repair.update(people, 10 + k / 30, mute(people.points))
        other = Bodies2D.from_arrays(frames[:1], track_ids=("2",))
        repair.update(other, 11.5, mute(other.points))
        people = Bodies2D.from_arrays(frames[:1, MIRROR], track_ids=("1",))
        assert not repair.update(people, 12.0, mute(people.points)).swapped[0]

    def test_is_dropped_with_the_track(self):
        repair = SwapRepair(mute)
        for k in range(50):
            people = Bodies2D.from_arrays(seen()[None], track_ids=(str(k),))
            repair.update(people, 0.5 * k, mute(people.points))
        assert len(repair._tracks) == 4


class TestModel:
    def test_somebody_in_doubt_is_asked_about_five_times_a_second(self):
        witness = Witness(0.0)
        run(still(1.0, 60), np.zeros(60, bool), 60, witness)
        assert len(witness.calls) - 60 == 5  # beside the one for every image

    def test_is_asked_once_for_all_in_doubt_and_not_for_the_sure(self):
        model = Witness(1.0)
        repair, frames = SwapRepair(model), still(10, 30)
        for k, points in enumerate(frames):
            both = Bodies2D.from_arrays(np.stack([points, points + 400]), track_ids=("a", "b"))
            estimates = model(both.points)
            model.calls.clear()
            repair.update(both, k / 30, estimates)
            if k == 0:
                assert model.calls == [2]
        assert model.calls == []
        third = Bodies2D.from_arrays(
            np.stack([points, points + 400, points + 800]), track_ids=("a", "b", "c")
        )
        estimates = model(third.points)
        model.calls.clear()
        repair.update(third, 10.0, estimates)
        assert model.calls == [1]

    def test_without_a_pose_is_asked_for_the_exchanged_only(self):
        asked = []

        def model(points, visibility):
            asked.append(len(points))
            return mute(points)

        frames, wrong = still(2, 30), between(60, 50, 55)
        repair = SwapRepair(model)
        for points, swapped, k in zip(frames, wrong, range(60), strict=True):
            shown = exchange(points[None], np.array([swapped]))
            people = Bodies2D.from_arrays(shown, track_ids=("1",))
            repair.update(people, k / 30, mute(people.points))
        assert asked == [1] * 5


@pytest.mark.parametrize(
    ("skeleton", "stamp", "said"),
    [
        ("coco17", 0.0, "sides are repaired on body13, these are coco17"),
        ("body13", math.nan, "stamp of a frame is nan"),
    ],
)
def test_what_cannot_be_repaired(skeleton, stamp, said):
    points = np.zeros((1, len(skeletons.get(skeleton)), 2))
    people = Bodies2D.from_arrays(points, skeleton=skeleton, track_ids=("1",))
    with pytest.raises(VipeError, match=said):
        SwapRepair(mute).update(people, stamp, Estimates())


@pytest.mark.skipif(not os.environ.get("VIPE_DATA"), reason="needs the multi-view video")
@pytest.mark.parametrize(("detector", "swaps"), [("full", 14), ("heavy", 0)])
def test_a_real_detector_at_30_hz(detector, swaps):
    path = Path(os.environ["VIPE_DATA"]) / "multiview" / "pose2sim_singleperson.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    model = runtime.load(Path(__file__).parents[2] / "models" / "vipe.onnx", backend="onnxruntime")
    with np.load(path) as data:
        camera = [data[name][1] for name in ("K", "R", "T")]
        truth = data["points3d"][::2]
        found = data[f"kp33_{detector}"][1, ::2]
    homogeneous = (truth @ camera[1].T + camera[2]) @ camera[0].T
    exact = homogeneous[..., :2] / homogeneous[..., 2:]
    points = skeletons.convert(found[..., :2], "blazepose33", "body13").astype(np.float32)
    visibility = skeletons.convert_visibility(found[..., 3], "blazepose33", "body13")

    def apart(labelled):
        return np.linalg.norm(labelled - exact, axis=-1)[:, 1:].mean(axis=-1)

    wrong = apart(points[:, MIRROR]) < apart(points)
    repair, exchanged = SwapRepair(model), []
    for k in range(len(points)):
        people = Bodies2D.from_arrays(points[k][None], visibility[k][None], track_ids=("1",))
        estimates = model(people.points, people.visibility)
        exchanged.append(repair.update(people, k / 30, estimates).swapped[0])
    assert wrong.sum() == swaps
    np.testing.assert_array_equal(exchanged, wrong)
