"""The gallery of poses against brute force and faiss: time, what is found, disk and memory.

The poses are real ones: CMU's motion through random cameras, with a detector's noise and here
and there a hidden limb, as the model embeds them. What a table of random numbers is searched
like says nothing: real variances differ by a factor of ten thousand.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks import robot
from benchmarks.backends import CPU
from benchmarks.memory import memory_row, stage_memory
from benchmarks.timing import Row, compare
from vipe_core import files, runtime
from vipe_core.embedding import likelihood_distance
from vipe_core.errors import VipeError
from vipe_core.gallery import Gallery, Rows, nearest
from vipe_core.geometry import Camera, project
from vipe_core.skeletons import BODY13, JOINTS17

K = 20
QUERIES = 50  # of each kind
AIMS_MS = {100_000: 5.0, 1_000_000: 15.0}
MOTION = tuple(f"mocap/cmu_mocap_{part}.npz" for part in ("train", "native", "val", "test"))
ASKED = ("mocap/cmu_mocap_test.npz",)
KINDS = ("whole bodies", "a limb hidden")
_NEAR = 0.02  # share of the rows whose means are the candidates of the others
_APPENDED = 30  # rows: one person for a second
CACHE = robot.ROOT / "out"  # a million poses take minutes to embed
_LIMBS = [
    list(BODY13.indices(*(f"{side}_{joint}" for joint in limb)))
    for side in ("left", "right")
    for limb in (("elbow", "wrist"), ("knee", "ankle"))
]
_BODY13 = list(JOINTS17.indices(*BODY13.joints))
_HELD = {
    "numpy and LanceDB": "import sys, numpy, lancedb",
    "searched": (
        "from vipe_core.gallery import Gallery\n"
        "gallery = Gallery.open(sys.argv[1])\n"
        "asked = numpy.load(sys.argv[1] + '/asked.npz')\n"
        "for mean, variance in zip(asked['mean'], asked['variance']):\n"
        f"    gallery.search(mean, variance, {K})"
    ),
}

Search = Callable[[np.ndarray, np.ndarray], np.ndarray]  # a pose in, rows out


class Poses(NamedTuple):
    """Embeddings, mean and variance (N, D)."""

    mean: np.ndarray
    variance: np.ndarray


def rows(path: Path, size: int = 100_000) -> Iterator[Row | str]:
    """Search, append, disk and memory of a gallery of so many poses."""
    try:
        import faiss  # noqa: F401
        import lancedb  # noqa: F401

        index = embedded(path, MOTION, size, seed=1)
        asked = [embedded(path, ASKED, QUERIES, seed=2 + i, hide=bool(i)) for i in range(2)]
    except ModuleNotFoundError as error:
        yield f"gallery: skipped, no {error.name} here: make test sets it up"
        return
    except VipeError as error:
        yield f"gallery: skipped, {error}"
        return
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:  # /tmp may be memory
        yield from _measured(path, Path(folder) / "gallery", index, asked)


def million(path: Path) -> Iterator[Row | str]:
    """The same of a million, which takes minutes to make; the next time they are there."""
    return rows(path, 1_000_000)


def _measured(path: Path, address: Path, index: Poses, asked: list[Poses]) -> Iterator[Row | str]:
    model = runtime.load(path, CPU)
    a, b = model.metadata.sigmoid_a, model.metadata.sigmoid_b
    start = time.perf_counter()
    gallery = filled(address, model, index)
    added = time.perf_counter()
    gallery.optimize()
    yield (
        f"{len(gallery):,} rows: added in {added - start:.1f} s, merged and indexed "
        f"in {time.perf_counter() - added:.1f} s"
    )
    size, what = len(index.mean), f"search {len(index.mean):,}, k = {K}"
    ours = partial(_rows_of, gallery)
    both = Poses(*(np.concatenate(parts) for parts in zip(*asked, strict=True)))
    yield from _times(what, ours, others(index, a, b), both, AIMS_MS.get(size))
    exact = [nearest(*index, *poses, a, b, K)[0] for poses in asked]
    for name, search in {"the gallery": ours, **others(index, a, b)}.items():
        found = [
            f"{kind} {recall(search, poses, right):.3f}"
            for kind, poses, right in zip(KINDS, asked, exact, strict=True)
        ]
        yield f"recall@{K} in {size:,} of {name}: {', '.join(found)}"
    gallery.table.optimize(
        cleanup_older_than=timedelta(milliseconds=1)
    )  # what nobody reads any more
    raw = (index.mean.nbytes + index.variance.nbytes) / 1e6
    per_million = 1e6 / size
    disk = sum(file.stat().st_size for file in address.rglob("*") if file.is_file()) / 1e6
    yield memory_row(
        f"on disk, a million of {size:,}", "means and variances", disk * per_million,
        raw * per_million,
    )  # fmt: skip
    np.savez(address / "asked.npz", mean=both.mean, variance=both.variance)
    held = stage_memory(address, _HELD)
    bare, searched = held.values()
    yield memory_row(f"in memory, {size:,} searched", "means and variances", searched - bare, raw)
    yield _append(gallery, index, address.parent / "plain")


def _times(
    what: str, ours: Search, baselines: dict[str, Search], asked: Poses, aim_ms: float | None
) -> Iterator[Row]:
    """The median turn: an occasional query that is quick is nobody's experience."""
    row = None
    for name, search in baselines.items():
        calls = [_one_after_the_other(s, asked) for s in (ours, search)]
        row = compare(what, name, *calls, aim=None, pick=median)
        yield row
    if row and aim_ms:
        yield Row(f"{what}, p50", f"{aim_ms:g} ms", row.value, aim_ms, row.value / aim_ms, 1.0)


def _one_after_the_other(search: Search, asked: Poses) -> Callable[[], np.ndarray]:
    """Each call asks for the next pose, from the first again at the end."""
    poses = cycle(zip(*asked, strict=True))
    return lambda: search(*next(poses))


def recall(search: Search, asked: Poses, exact: np.ndarray) -> float:
    """The share of the exact answers (Q, K) that are found."""
    found = [search(mean, variance) for mean, variance in zip(*asked, strict=True)]
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))


def _rows_of(gallery: Gallery, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Where the answers stand in the index: their stamp says it."""
    found = gallery.search(mean, variance, K)
    return np.array([int(one.stamp_s) for one in found])


def others(index: Poses, a: float, b: float) -> dict[str, Search]:
    """The same search, otherwise: exact; or the rows with the nearest means, ranked."""
    import faiss

    count, size = len(index.mean), index.mean.shape[1]
    near = round(_NEAR * count)
    squares = (index.mean * index.mean).sum(1)
    flat = faiss.IndexFlatL2(size)
    flat.add(index.mean)
    cells = round(count**0.5)
    parted = faiss.IndexIVFFlat(faiss.IndexFlatL2(size), size, cells)
    parted.train(index.mean)
    parted.add(index.mean)
    parted.nprobe = cells // 8

    def ranked(rows: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        distance = likelihood_distance(mean, variance, index.mean[rows], index.variance[rows])
        return rows[np.argpartition(distance, K)[:K]]

    def exact(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        return nearest(*index, mean[None], variance[None], a, b, K)[0][0]

    def product(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        apart = squares - 2 * (index.mean @ mean)
        return ranked(np.argpartition(apart, near)[:near], mean, variance)

    def by(made: Any, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        rows = made.search(mean[None], near)[1][0]
        return ranked(rows[rows >= 0], mean, variance)

    return {
        "exact: every row": exact,
        f"numpy product, {near:,} nearest ranked": product,
        f"faiss flat, {near:,} nearest ranked": partial(by, flat),
        f"faiss IVF, {near:,} nearest ranked": partial(by, parted),
    }


def _append(gallery: Gallery, index: Poses, plain: Path) -> Row:
    """A second of one person, against the same numbers at the end of a file, on disk."""
    poses = Poses(*(part[:_APPENDED] for part in index))
    stamps = count(len(index.mean))
    content = poses.mean.tobytes() + poses.variance.tobytes()

    def ours() -> int:
        return gallery.add(Rows(*poses, "appended", np.full(_APPENDED, float(next(stamps))), "0"))

    with plain.open("ab") as file:

        def bare() -> None:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

        what = f"append {_APPENDED} to {len(index.mean):,}"
        return compare(what, "to a file, synced", ours, bare, aim=None, pick=median)


def filled(address: Path, model: runtime.Model, index: Poses) -> Gallery:
    """A gallery of the poses, each stamped with its number; not tidied yet."""
    gallery = Gallery.create(address, model)
    for start in range(0, len(index.mean), 50_000):
        part = Poses(*(values[start : start + 50_000] for values in index))
        stamps = np.arange(start, start + len(part.mean), dtype=float)
        gallery.add(Rows(*part, "archive/2026-11-26.mcap", stamps, "0"))
    return gallery


def embedded(
    path: Path, motion: tuple[str, ...], size: int, seed: int, hide: bool | None = None
) -> Poses:
    """So many poses of motion files, clip after clip, each time through another camera; kept
    for the next time.

    Raises:
        VipeError: no motion files; VIPE_DATA names their folder.
    """
    model = runtime.load(path, CPU)
    kept = CACHE / f"poses-{model.fingerprint}-{size}-{seed}.npz"
    if kept.exists():
        content = files.read_npz(kept, "embeddings")
        return Poses(content["mean"], content["variance"])
    rng = np.random.default_rng(seed)
    films, total = [], 0
    for clip in cycle(_clips(motion, rng, thin=1 if hide is None else 200)):
        films.append(film(clip, rng, rng.random() < 0.15 if hide is None else hide))
        total += len(clip)
        if total >= size:
            break
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [one.embedding() for one in pool.map(lambda film: model(*film), films)]
    poses = Poses(*(np.concatenate(values)[:size] for values in zip(*found, strict=True)))
    files.write_npz(kept, mean=poses.mean, variance=poses.variance)
    return poses


def _clips(motion: tuple[str, ...], rng: np.random.Generator, thin: int) -> list[np.ndarray]:
    """Joints (F, 17, 3) of each clip, y up, the pelvis at the origin, in random order."""
    from vipe_training.datasets import load_motion

    content = load_motion(list(motion))
    ends = [*(np.flatnonzero(np.diff(content.clip)) + 1), len(content)]
    clips = [
        content.joints[start:end:thin].astype(np.float64)
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    return [clips[i] for i in rng.permutation(len(clips))]


def film(joints: np.ndarray, rng: np.random.Generator, hide: bool) -> tuple[np.ndarray, np.ndarray]:
    """Points (F, 13, 2) and visibility of a clip (F, 17, 3) through a random camera.

    2.5 to 8 m away, 15 degrees below to 30 above, rolled by up to 10; noise of 0.8 % of the
    person's height in the image; with ``hide`` an arm or a leg is not seen.
    """
    azimuth = rng.uniform(-np.pi, np.pi)
    elevation, roll = np.deg2rad(rng.uniform((-15, -10), (30, 10)))
    away = np.exp(rng.uniform(np.log(2.5), np.log(8)))
    position = away * np.array(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation),
         np.cos(elevation) * np.cos(azimuth)]
    )  # fmt: skip
    camera = Camera.look_at(position, np.zeros(3), np.array([0, 1.0, 0]), roll=roll)
    points = project(joints[:, _BODY13], camera)
    tall = np.ptp(points[..., 1], axis=1)[:, None, None]
    points = points + 0.008 * tall * rng.normal(size=points.shape)
    visibility = np.ones(points.shape[:2])
    if hide:
        visibility[:, _LIMBS[rng.integers(len(_LIMBS))]] = 0
    return points, visibility
