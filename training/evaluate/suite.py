"""The retrieval suite for a model file: tables and their JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from vipe_core.errors import VipeError
from vipe_core.runtime import Model
from vipe_training.datasets import MotionSet, load_motion
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import coder
from vipe_training.evaluate.lifting import evaluate_lifting
from vipe_training.evaluate.retrieval import aligned_keypoints, evaluate_retrieval

_LIFTING = {
    "mpjpe": "body frame mm",
    "pa_mpjpe": "aligned mm",
    "np_mpjpe": "NP-MPJPE",
    "mean_pose": "mean pose mm",
    "coverage50": "inside 50 %",
    "coverage90": "inside 90 %",
}


@dataclass
class Results:
    """What was measured, and on what.

    Attributes:
        model: name, or ``aligned 2D keypoints``.
        data: motion files and people.
        poses: how many after de-duplication.
        seed: of poses, cameras and noise.
        hits: protocol -> Hit@1/5/10/20 in percent.
        discarded: Hit@1 on novel8+n without the most uncertain queries, by their share.
        lifting: see :func:`vipe_training.evaluate.lifting.evaluate_lifting`; empty for a
            model without a pose. ``true height`` and ``1.7 m for everybody``.
    """

    model: str
    data: str
    poses: int
    seed: int
    hits: dict[str, list[float]] = field(default_factory=dict)
    discarded: dict[str, float] = field(default_factory=dict)
    lifting: dict[str, dict[str, float]] = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        """The figures that go into the model file."""
        named = {
            f"{name} hit@{k}": value
            for name, values in self.hits.items()
            for k, value in zip(protocol.TOP, values, strict=True)
        }
        named |= {f"novel8+n hit@1 without {k}": v for k, v in self.discarded.items()}
        named |= {_LIFTING[k]: v for k, v in self.lifting.get("true height", {}).items()}
        return named

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """Whose poses to measure on: motion files, and people of them; everybody if none is named.

    Raises:
        VipeError: from :meth:`load`, when a file cannot be read or nobody is left.
    """

    files: tuple[str, ...] = ("mocap/cmu_mocap_test.npz",)
    people: tuple[str, ...] = ()

    def load(self) -> MotionSet:
        """The poses."""
        motion = load_motion(self.files)
        if not self.people:
            return motion
        if absent := sorted(set(self.people) - set(motion.subject)):
            raise VipeError(f"nobody is called {absent[0]} in {', '.join(self.files)}")
        return motion.select(np.isin(motion.subject, self.people))

    def __str__(self) -> str:
        files = ", ".join(self.files)
        return f"{files} ({', '.join(self.people)})" if self.people else files


def evaluate_model(model: Model, source: Source, poses: int, seed: int) -> Results:
    """Run the suite on a model file, on windows of frames if it takes them.

    A model without an embedding is ranked by the poses that it lifts, which takes minutes
    for a thousand of them.
    """
    info = model.metadata
    joints = protocol.choose(source.load(), poses, seed, info.frames, info.frame_step)

    def lift(points: np.ndarray, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return model(points, visibility).pose()

    results = Results(info.name, str(source), len(joints), seed)
    results.hits, results.discarded = evaluate_retrieval(coder(model), joints, seed)
    if info.has_pose:
        results.lifting = {
            "true height": evaluate_lifting(lift, joints, None, seed),
            "1.7 m for everybody": evaluate_lifting(lift, joints, 1.7, seed),
        }
    return results


def evaluate_baseline(source: Source, poses: int, seed: int) -> Results:
    """The suite's cameras with aligned 2D keypoints instead of a model."""
    joints = protocol.choose(source.load(), poses, seed)
    results = Results("aligned 2D keypoints", str(source), len(joints), seed)
    results.hits = aligned_keypoints(joints, seed)
    return results


def markdown(results: Results) -> str:
    """Tables for a terminal and a model card."""
    lines = [
        f"{results.model}: {results.poses} poses of {results.data}, seed {results.seed}",
        "",
        "| cameras | Hit@1 | Hit@5 | Hit@10 | Hit@20 |",
        "|---|---|---|---|---|",
    ]
    for name, values in results.hits.items():
        lines.append(f"| {name} | " + " | ".join(f"{v:.1f}" for v in values) + " |")
    if results.discarded:
        shares = ", ".join(f"{share} {hit:.1f}" for share, hit in results.discarded.items())
        lines += ["", f"Hit@1 on novel8+n without the most uncertain queries: {shares}"]
    if results.lifting:
        lines += [
            "",
            "| person's height | body frame | aligned | NP-MPJPE | mean pose | in 50 % | in 90 % |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, v in results.lifting.items():
            cells = [f"{v[k]:.1f} mm" for k in ("mpjpe", "pa_mpjpe")]
            cells += [f"{v['np_mpjpe']:.3f}", f"{v['mean_pose']:.1f} mm"]
            cells += [f"{v[k]:.0f} %" for k in ("coverage50", "coverage90")]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
