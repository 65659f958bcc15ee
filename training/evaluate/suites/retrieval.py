"""Cross-view retrieval: is the same pose found again from another camera?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache

from vipe_core.errors import VipeError
from vipe_training.datasets import MotionSet
from vipe_training.evaluate import protocol
from vipe_training.evaluate.metrics.retrieval import (
    DISCARDED,
    at_top,
    from_camera,
    named_shares,
    over_pairs,
)
from vipe_training.evaluate.report.findings import (
    Curves,
    Drawing,
    Findings,
    Gallery,
    Heatmap,
    Table,
)
from vipe_training.evaluate.samples.detections import REAL, detected
from vipe_training.evaluate.samples.scenes import RENDERED, Scene, Scenes, coder_of, depends_on
from vipe_training.evaluate.suites.gallery import draw
from vipe_training.evaluate.task import Contestant, Task

_COLUMNS = [f"Hit@{k}" for k in protocol.TOP]
_RENDERED = {
    "chest4": "four cameras at chest level, exact points",
    "chest4+n": "four cameras at chest level, noise of a detector",
    "novel8": "eight cameras from anywhere, exact points",
    "novel8+n": "eight cameras from anywhere, noise of a detector",
}
_NOTE = (
    "Share of queries with a right answer among the first k, mean over all ordered pairs of "
    "cameras. Right: NP-MPJPE to the query's pose at most 0.1; poses are at least 0.02 apart."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument(
        "--protocol",
        choices=["rendered", *REAL],
        default="rendered",
        help="rendered cameras, or the real detections of a cache; %(default)s",
    )
    parser.add_argument(
        "--frame-keys",
        nargs="+",
        metavar="FILE",
        help="published lists of frames, one key a line, instead of frames of our choice",
    )


def run(task: Task) -> Findings:
    """Cross-view retrieval: is the same pose found again from another camera?

    Every pose seen by one camera is searched among all poses seen by another, for every
    ordered pair of cameras. Rendered protocols: chest4 = four cameras at chest level, novel8 =
    eight with azimuth +-180, elevation +-30 and roll +-15 degrees, +n = noise of 2 % of the
    longest torso distance on both views. --protocol h36m, 3dhp-all (cameras 0 to 10),
    3dhp-chest (0, 2, 4, 7, 8) and 3dhp-unseen (1, 3, 5, 6, 9, 10) use the real detections of
    a cache (--data) and, with --frame-keys, the frames of the published lists.
    """
    name = getattr(task.options, "protocol", None) or "rendered"
    if name == "rendered" and getattr(task.options, "frame_keys", None):
        raise VipeError(f"--frame-keys needs --protocol: one of {', '.join(REAL)}")
    motion = task.source.load()
    findings = Findings(f"Cross-view retrieval on {task.source}")
    rivals = [rival for rival in task.contestants if rival.coder is not None]
    findings.skipped += [
        f"{rival.name} does not code views" for rival in task.contestants if rival.coder is None
    ]
    if name == "rendered":
        titles, scene = _RENDERED, Scenes(task, motion).rendered
    else:
        titles, scene = {name: REAL[name].title}, _Detected(task, motion)
    last = list(titles)[-1]
    for protocol_name, title in titles.items():
        found = _measure(task, findings, rivals, protocol_name, title, scene)
        if protocol_name == last:
            _show(task, findings, rivals, protocol_name, scene, found)
    return findings


class _Detected:
    """Scenes of real cameras, one for all contestants that take the same windows."""

    def __init__(self, task: Task, motion: MotionSet) -> None:
        self._task, self._motion = task, motion
        self._made: dict[tuple, Scene] = {}

    def __call__(self, rival: Contestant, name: str) -> Scene:
        key = name, rival.frames, rival.frame_step
        if key not in self._made:
            self._made[key] = detected(self._task, self._motion, rival, name)
        return self._made[key]


def _measure(
    task: Task,
    findings: Findings,
    rivals: list[Contestant],
    name: str,
    title: str,
    scene: Callable[[Contestant, str], Scene],
) -> dict[str, list[dict]]:
    """A protocol's table; returns what each contestant found, camera by camera."""
    table = Table(f"{name}: {title}, %", _COLUMNS, {}, note=_NOTE, best="highest")
    found = {}
    for rival in rivals:
        here = scene(rival, name)
        findings.skipped += [f"{rival.name}: {line}" for line in here.skipped]
        task.parts.expect(len(here.cameras))
        found[rival.name] = _from_all(task, rival, name, here)
        top = at_top(over_pairs(found[rival.name], "hits"))
        table.rows[rival.name] = list(top)
        summary = findings.summary.setdefault(rival.name, {})
        summary |= {f"{name} hit@{k}": v for k, v in zip(protocol.TOP, top, strict=True)}
    findings.tables.append(table)
    return found


def _show(
    task: Task,
    findings: Findings,
    rivals: list[Contestant],
    name: str,
    scene: Callable[[Contestant, str], Scene],
    found: dict[str, list[dict]],
) -> None:
    """What more there is to see of the hardest protocol."""
    _discarded(findings, name, found)
    task.parts.expect(len(rivals))
    for rival in rivals:
        here = scene(rival, name)
        findings.plots.append(_matrix(rival, name, here, found[rival.name]))
        findings.galleries.append(_gallery(task, rival, name, here))


def _from_all(task: Task, rival: Contestant, name: str, scene: Scene) -> list[dict]:
    """What every camera finds in the others, each a part that is kept."""

    @cache
    def coded() -> list:
        return [
            coder_of(rival).code(points, visible)
            for points, visible in zip(scene.points, scene.visibility, strict=True)
        ]

    return [
        task.parts.part(
            f"retrieval-{name}-{camera}",
            lambda camera=camera: from_camera(coder_of(rival), coded(), camera, scene.matches),
            contestant=rival.fingerprint,
            **depends_on(task, scene.joints),
        )
        for camera in range(len(scene.cameras))
    ]


def _discarded(findings: Findings, name: str, found: dict[str, list[dict]]) -> None:
    """Hit@1 when the queries that the model is least sure of do not count."""
    columns = [f"{share} %" for share in DISCARDED]
    title = f"Hit@1 on {name} without the most uncertain queries, %"
    table = Table(title, columns, {}, best="highest", note="Pr-VIPE, figure 10.")
    series = {}
    for rival, each in found.items():
        values = over_pairs(each, "surest")
        shares = named_shares(values)
        table.rows[rival] = list(shares.values())
        series[rival] = [list(map(float, DISCARDED)), list(shares.values())]
        findings.summary[rival] |= {f"{name} hit@1 without {k}": v for k, v in shares.items()}
    findings.tables.append(table)
    findings.plots.append(Curves(title, "discarded, %", "Hit@1, %", series))


def _matrix(rival: Contestant, name: str, scene: Scene, found: list[dict]) -> Heatmap:
    values = [[None if hits is None else hits[0] for hits in one["hits"]] for one in found]
    return Heatmap(
        f"{rival.name}: Hit@1 on {name} by camera, %",
        "camera of the index (azimuth, elevation)" if name in RENDERED else "camera of the index",
        "camera of the query",
        list(scene.cameras),
        list(scene.cameras),
        values,
    )


def _gallery(task: Task, rival: Contestant, name: str, scene: Scene) -> Gallery:
    rows = task.parts.part(
        f"gallery-{name}",
        lambda: draw(coder_of(rival), scene, task.seed),
        contestant=rival.fingerprint,
        **depends_on(task, scene.joints),
    )
    note = "Query on the left, then the best five in the other camera."
    return Gallery(
        f"{rival.name}: what was found on {name}",
        [[Drawing(**drawing) for drawing in row] for row in rows],
        note,
    )
