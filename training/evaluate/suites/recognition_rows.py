"""What one row of the suite ``recognition`` does: a recogniser plays, or a whole clip's nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vipe_core.actions import UNKNOWN, Action, Example, Examples, Recognizer, segments
from vipe_core.errors import VipeError
from vipe_core.estimate import estimate
from vipe_core.runtime import Model
from vipe_core.track import Track
from vipe_training.evaluate.coders import EmbeddingCoder, LiftingCoder
from vipe_training.evaluate.metrics import classification
from vipe_training.evaluate.metrics.detection import Span, area_under_curve, detections
from vipe_training.evaluate.metrics.warping import clip_distances
from vipe_training.evaluate.samples.clip_codes import (
    TruthCoder,
    code_clips,
    coder_of,
    frame_costs,
    pick,
)
from vipe_training.evaluate.samples.clip_sets import Clip
from vipe_training.evaluate.samples.recognition_sets import RecognitionSet, may_be
from vipe_training.evaluate.task import Contestant

_PROCRUSTES = "truth-procrustes"
_EVERY = 2  # of the frames of whole clips: warping them all costs four times as much
_FILLER_S = 3.0  # of other motion between two actions of the stream
_STEP_S = 1 / 15  # between two clips of the stream
Measure = Callable[["Taught", RecognitionSet], dict[str, Any]]


@dataclass(frozen=True)
class Taught:
    """Rows of the examples: of all labels, of half of them, and which those are."""

    all: list[int]
    half: list[int]
    labels: list[str]


def rivals(contestants: Sequence[Contestant], truth: bool) -> dict[str, tuple[Contestant, str]]:
    """Rows by name: models in the recogniser, then whole clips by everyone.

    Raises:
        VipeError: two rows of one name.
    """
    rows: dict[str, tuple[Contestant, str]] = {}
    for contestant in contestants:
        if _recognisable(contestant):
            rows[contestant.name] = (contestant, "recogniser")
    whole = list(contestants)
    if truth:
        whole.append(Contestant("true 3D poses", "truth", TruthCoder()))
        whole.append(Contestant("true 3D poses, Procrustes", _PROCRUSTES, _procrustes()))
    for contestant in whole:
        rows[f"{contestant.name}, nearest whole clip"] = (contestant, "nearest")
    return rows


def _recognisable(contestant: Contestant) -> bool:
    return contestant.model is not None and isinstance(contestant.coder, EmbeddingCoder)


def _procrustes() -> LiftingCoder:
    """Of true joints instead of points: every pair of frames aligned by itself."""
    return LiftingCoder(lambda joints, seen: (joints, np.zeros(joints.shape[:2])))


def _in_3d(clips: Sequence[Clip]) -> list[Clip]:
    """The clips with their true joints in place of points."""
    if any(clip.joints is None for clip in clips):
        raise VipeError("--truth: nobody knows the 3D poses of some clips")
    return [
        replace(clip, points=clip.joints, visibility=np.ones(clip.joints.shape[:2]))
        for clip in clips
        if clip.joints is not None
    ]


def nearest_clip(contestant: Contestant, drawn: RecognitionSet) -> Measure:
    """Whole clips: the label of the nearest example under dynamic time warping."""
    coder = coder_of(contestant)
    seen = _in_3d if contestant.fingerprint == _PROCRUSTES else list
    asked = code_clips(contestant, seen(drawn.queries), every=_EVERY)
    known = code_clips(contestant, seen(drawn.examples), every=_EVERY)
    offsets = [offset // _EVERY for offset in classification.WINDOWS["paper"]]
    distance = []
    for row in range(len(drawn.queries)):
        costs = frame_costs(contestant, coder.take(asked.code, asked.rows(row)), known.code)
        values = classification.window_average(pick(costs, "excess"), known.starts, offsets)
        distance.append(clip_distances(values, known.starts))
    whole = np.array(distance)

    def measure(taught: Taught, drawn: RecognitionSet) -> dict[str, Any]:
        truth, names = _labels(drawn.queries), _labels(drawn.examples)
        found = classification.nearest_labels(whole[:, taught.all], names[taught.all])
        unknown = ~np.isin(truth, taught.labels)
        score = -whole[:, taught.half].min(axis=1)
        return {
            "accuracy": classification.mean_accuracy(truth, found),
            "auroc": 100 * area_under_curve(score[~unknown], score[unknown]),
        }

    return measure


def recogniser(contestant: Contestant, drawn: RecognitionSet) -> Measure:
    """The recogniser of ``vipe_core.actions``, fed frame by frame."""
    model = contestant.model
    if model is None:
        raise VipeError(f"{contestant.name} is no model file")
    known, asked, others = (
        [track_of(model, clip) for clip in clips]
        for clips in (drawn.examples, drawn.queries, drawn.others)
    )
    info = model.metadata

    def taught_by(rows: list[int]) -> Recognizer:
        examples = [Example(drawn.examples[row].label, known[row]) for row in rows]
        return Recognizer(Examples.from_examples(examples, info.sigmoid_a, info.sigmoid_b))

    def measure(taught: Taught, drawn: RecognitionSet) -> dict[str, Any]:
        whole, half = taught_by(taught.all), taught_by(taught.half)
        truth = _labels(drawn.queries)
        best = [best_of(play(whole, track)) for track in asked]
        unknown = ~np.isin(truth, taught.labels)
        score = np.array([best_of(play(half, track))[1] for track in asked])
        stream, spans = _stream(asked, others, truth)
        figures, pairs = _in_stream(play(whole, stream), stream.stamp, spans)
        alarms, minutes = _alarms(whole, others, drawn.others)
        return {
            "accuracy": classification.mean_accuracy(truth, np.array([b[0] for b in best])),
            "auroc": 100 * area_under_curve(score[~unknown], score[unknown]),
            **figures,
            "alarms": len(alarms) / minutes,
            "pairs": pairs + [(alarm.probability, 0) for alarm in alarms],
        }

    return measure


def track_of(model: Model, clip: Clip) -> Track:
    """The embeddings of a clip, itself and mirrored."""
    found, missing = estimate(model, clip.points, clip.visibility, "body13", stamps=clip.stamps)
    if missing.any() or found.mean is None or found.variance is None:
        raise VipeError(f"clip {clip.name}: no embedding of every frame")
    return Track(clip.stamps, found.mean, found.variance, found.mirror_mean, found.mirror_variance)


def play(recognizer: Recognizer, track: Track) -> list[Action]:
    """What the recogniser says at each frame of one person who is new to it."""
    recognizer.drop("person")
    twin = (track.mirror_mean, track.mirror_variance)
    return [
        recognizer.update(
            "person",
            track.stamp[i],
            track.mean[i],
            track.variance[i],
            *(None if values is None else values[i] for values in twin),
        )
        for i in range(len(track))
    ]


def best_of(actions: Sequence[Action]) -> tuple[str, float]:
    """The label, "unknown" aside, that is most probable at the moment when "unknown" is least
    probable; and the probability, then, of being any of them."""
    known, label = -1.0, UNKNOWN
    for action in actions:
        now = 1 - action.probabilities[action.labels.index(UNKNOWN)]
        if now > known:
            known, label = now, next(name for name in action.labels if name != UNKNOWN)
    return label, known


def joined(tracks: Sequence[Track]) -> tuple[Track, list[float]]:
    """Tracks one after the other as a single one, and when each starts."""
    stamps, starts, now = [], [], 0.0
    for track in tracks:
        starts.append(now)
        stamps.append(track.stamp - track.stamp[0] + now)
        now = float(stamps[-1][-1]) + _STEP_S
    values = (
        np.concatenate([getattr(track, name) for track in tracks])
        for name in ("mean", "variance", "mirror_mean", "mirror_variance")
    )
    return Track(np.concatenate(stamps), *values), starts


def _stream(
    asked: Sequence[Track], others: Sequence[Track], labels: np.ndarray, seed: int = 0
) -> tuple[Track, list[Span]]:
    """All queries in a random order, a few seconds of other motion before each; and where
    the queries are."""
    rng = np.random.default_rng(seed)
    parts: list[Track] = []
    order = rng.permutation(len(asked)).tolist()
    for row in order:
        other = others[int(rng.integers(len(others)))]
        first = rng.uniform(0, max(other.duration - _FILLER_S, 0)) + other.stamp[0]
        parts += [_between(other, first, first + _FILLER_S), asked[row]]
    stream, starts = joined(parts)
    spans = [
        Span(str(labels[row]), start, start + asked[row].duration)
        for row, start in zip(order, starts[1::2], strict=True)
    ]
    return stream, spans


def _between(track: Track, start: float, end: float) -> Track:
    rows = (start <= track.stamp) & (track.stamp <= end)
    rows[np.abs(track.stamp - start).argmin()] = True
    mirror = (track.mirror_mean, track.mirror_variance)
    twin = (None if values is None else values[rows] for values in mirror)
    return Track(track.stamp[rows], track.mean[rows], track.variance[rows], *twin)


def _in_stream(
    actions: Sequence[Action], times: np.ndarray, truth: Sequence[Span]
) -> tuple[dict[str, Any], list[tuple[float, int]]]:
    """Figures of a stream, and the probability of each match with whether it is right."""
    matches = segments(actions)
    spans = [Span(m.label, m.start, m.end) for m in matches if m.start is not None and m.end]
    found = detections(truth, spans)
    figures: dict[str, Any] = {
        "recall": 100 * float(found.found.mean()),
        "precision": 100 * float(found.right.mean()) if len(spans) else None,
        "latency_ms": None,
    }
    late = [
        1e3 * (_reported(actions, times, matches[row]) - span.end)
        for span, row in zip(truth, found.first, strict=True)
        if row >= 0
    ]
    if late:
        figures["latency_ms"] = float(np.median(late))
    pairs = zip(matches, found.right, strict=True)
    return figures, [(match.probability, int(right)) for match, right in pairs]


def _reported(actions: Sequence[Action], times: np.ndarray, match: Action) -> float:
    """When a match was first told; it may have been improved since."""
    begun = match.start or 0.0
    return next(
        float(time)
        for time, action in zip(times, actions, strict=True)
        if action.label == match.label and action.end is not None and action.end > begun
    )


def _alarms(
    recognizer: Recognizer, tracks: Sequence[Track], clips: Sequence[Clip]
) -> tuple[list[Action], float]:
    """Matches where nobody does what was taught, and the minutes listened to."""
    found = [
        match
        for track, clip in zip(tracks, clips, strict=True)
        for match in segments(play(recognizer, track))
        if not may_be(clip, match.label)
    ]
    return found, sum(track.duration for track in tracks) / 60


def _labels(clips: Sequence[Clip]) -> np.ndarray:
    return np.array([clip.label for clip in clips])
