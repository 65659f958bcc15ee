"""Examples as plain arrays, as the examples file holds them.

Fields, with E examples of N frames together, D dimensions of the embedding:
    kind, format    "vipe examples", 1
    model, fingerprint, sigmoid_a, sigmoid_b   of the model that embedded them
    labels, sources (E,) text
    starts          (E + 1,) int64: example e is rows ``starts[e]:starts[e + 1]``
    stamps          (N,) float64 seconds
    means, variances, mirror_means, mirror_variances   (N, D); mirrored NaN where there is none
    skeletons       (E,) text: of the keypoints of each example, "" where none were kept
    keypoints, visibilities  float32, flat: (T, J, 2) and (T, J) of one example after the other
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from vipe_core import skeletons
from vipe_core.actions.examples import Example, Examples, Keypoints
from vipe_core.errors import VipeError
from vipe_core.track import Track

KIND, FORMAT = "vipe examples", 1


def to_fields(examples: Examples) -> dict[str, Any]:
    """The fields, by name."""
    taught = examples.examples
    tracks = [example.track for example in taught]
    kept = [example.keypoints for example in taught]
    lengths = [len(track) for track in tracks]
    return {
        **{"kind": KIND, "format": FORMAT},
        **{"model": examples.model, "fingerprint": examples.fingerprint},
        **{"sigmoid_a": examples.sigmoid_a, "sigmoid_b": examples.sigmoid_b},
        "labels": np.array([example.label for example in taught], np.str_),
        "sources": np.array([example.source for example in taught], np.str_),
        "starts": np.cumsum([0, *lengths]),
        "stamps": np.concatenate([np.zeros(0), *(track.stamp for track in tracks)]),
        "means": _rows([track.mean for track in tracks]),
        "variances": _rows([track.variance for track in tracks]),
        "mirror_means": _rows([_or_nan(track.mirror_mean, track) for track in tracks]),
        "mirror_variances": _rows([_or_nan(track.mirror_variance, track) for track in tracks]),
        "skeletons": np.array([k.skeleton if k else "" for k in kept], np.str_),
        "keypoints": _flat([k.points for k in kept if k]),
        "visibilities": _flat([k.visibility for k in kept if k]),
    }


def _rows(values: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(values) if values else np.zeros((0, 0), np.float32)


def _flat(values: list[np.ndarray]) -> np.ndarray:
    flat = (np.asarray(value, np.float32).ravel() for value in values)
    return np.concatenate([np.zeros(0, np.float32), *flat])


def _or_nan(values: np.ndarray | None, track: Track) -> np.ndarray:
    return np.full_like(track.mean, np.nan) if values is None else values


def from_fields(fields: dict[str, np.ndarray]) -> Examples:
    """The examples; VipeError where fields do not fit each other, KeyError for a missing one."""
    tracks = _tracks(fields)
    keypoints = _keypoints(fields, [len(track) for track in tracks])
    labels, sources = (_texts(fields, name) for name in ("labels", "sources"))
    if not len(labels) == len(sources) == len(tracks):
        raise VipeError(
            f"{len(labels)} labels and {len(sources)} sources of {len(tracks)} examples"
        )
    taught = [Example(*parts) for parts in zip(labels, tracks, sources, keypoints, strict=True)]
    odds = _number(fields, "sigmoid_a"), _number(fields, "sigmoid_b")
    origin = str(fields["fingerprint"]), str(fields["model"])
    if not odds[0] > 0:
        raise VipeError("sigmoid_a: a number over 0 needed")
    if not taught:
        return Examples.empty(*odds, *origin)
    return Examples.from_examples(taught, *odds, *origin)


def _number(fields: dict[str, np.ndarray], name: str) -> float:
    value = fields[name]
    if value.shape != () or value.dtype.kind not in "fiu" or not math.isfinite(value):
        raise VipeError(f"{name}: one finite number needed")
    return float(value)


def _texts(fields: dict[str, np.ndarray], name: str) -> list[str]:
    value = fields[name]
    if value.ndim != 1 or value.dtype.kind != "U":
        raise VipeError(f"{name}: texts needed, not {value.dtype} of shape {value.shape}")
    return value.tolist()


def _tracks(fields: dict[str, np.ndarray]) -> list[Track]:
    starts, stamps = fields["starts"], fields["stamps"]
    heads = [fields[name] for name in ("means", "variances", "mirror_means", "mirror_variances")]
    whole = starts.ndim == 1 and starts.dtype.kind == "i" and len(starts) and starts[0] == 0
    if not whole or (np.diff(starts) < 0).any() or starts[-1] != np.size(stamps):
        raise VipeError(f"starts: not those of {np.size(stamps)} frames")
    if any(array.dtype.kind != "f" for array in (stamps, *heads)):
        raise VipeError("stamps, means, variances: floating point numbers needed")
    if heads[0].ndim != 2 or any(head.shape != heads[0].shape for head in heads):
        raise VipeError("means and variances differ in shape")
    if stamps.shape != heads[0].shape[:1]:
        raise VipeError("stamps and means differ in length")
    return [_track(stamps[a:b], [head[a:b] for head in heads]) for a, b in pairwise(starts)]


def _track(stamp: np.ndarray, heads: list[np.ndarray]) -> Track:
    mean, variance, *twin = heads
    mirrored = (None if np.isnan(values).all() else values for values in twin)
    return Track(stamp, mean, variance, *mirrored)


def _keypoints(fields: dict[str, np.ndarray], lengths: list[int]) -> list[Keypoints | None]:
    """Of each example, cut out of the flat fields."""
    names = _texts(fields, "skeletons")
    points, visibility = fields["keypoints"], fields["visibilities"]
    if len(names) != len(lengths):
        raise VipeError(f"skeletons: {len(names)} of {len(lengths)} examples")
    sizes = [len(skeletons.get(name)) if name else 0 for name in names]
    ends = np.cumsum([0, *(size * length for size, length in zip(sizes, lengths, strict=True))])
    if visibility.shape != (ends[-1],) or points.shape != (2 * ends[-1],):
        raise VipeError("keypoints: not as many as skeletons and frames need")
    return [
        Keypoints(
            points[2 * first : 2 * last].reshape(-1, size, 2),
            visibility[first:last].reshape(-1, size),
            name,
        )
        if name
        else None
        for name, size, (first, last) in zip(names, sizes, pairwise(ends), strict=True)
    ]
