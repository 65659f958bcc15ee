"""bodies_2d of any source -> embeddings, bodies_3d, /tf and more, all people in one batch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from std_msgs.msg import Header

from vipe_core import bodies, estimate
from vipe_core.errors import VipeError
from vipe_core.pipeline import Options, Pipeline, Scene
from vipe_ros import adapters, convert, humans, models
from vipe_ros.camera import CameraInputs
from vipe_ros.errors import InputError
from vipe_ros.node import BaseNode
from vipe_ros.parameters import VipeParameters
from vipe_ros.process import run
from vipe_ros.scene_outputs import SceneOutputs

LATE_S = 1.0  # images that overtake each other are less apart than that


class VipeNode(BaseNode):
    """Names, embeds, lifts and places people."""

    parameters_type = VipeParameters
    settings: VipeParameters
    _pipeline: Any = None
    _model: Any = None
    _says: Any = None
    _camera: Any = None
    _source: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("vipe_node", **kwargs)

    def configure(self) -> None:
        adapters.check(self.settings.keypoints_type)
        self._check_loop()
        given = self.settings
        self._model = models.load(given.model, given.backend, self.report, given.threads)
        self._says = SceneOutputs(self, self._model)
        self._new_pipeline()

    def activate(self) -> None:
        self._new_pipeline()  # what was in sight before a pause is not any more
        self._says.describe()
        self._camera = CameraInputs(self)
        self._source = adapters.open_source(
            self, "bodies_2d", self.settings.keypoints_type, self._size, self._on_people
        )

    def deactivate(self) -> None:
        if self._source is not None:
            self._source.close()
            self._says.clear()
        self._source = self._camera = None

    def release(self) -> None:
        self._model = self._pipeline = self._says = None

    def apply(self) -> None:
        if self._pipeline is not None:
            self._pipeline.options = self._options()

    def _check_loop(self) -> None:
        source = self.resolve_topic_name("bodies_2d")
        if self.settings.humans and source == f"{humans.ROOT}/tracked":
            raise VipeError(f"humans:=true would publish on {source}, which is read; set it false")

    def _new_pipeline(self) -> None:
        self._newest = -math.inf
        self._pipeline = Pipeline(self._model, self._options(), self.report.timed)

    def _options(self) -> Options:
        given = self.settings
        return Options(
            min_joints=given.min_joints,
            max_people=given.max_people,
            tracking=given.tracking,
            max_gap_s=given.max_gap,
            repair_swaps=given.repair_swaps,
            height=given.height,
            height_std=given.height_std,
            placement=given.placement,
            smoothing=given.smoothing,
            smoothing_beta=given.smoothing_beta,
        )

    def _size(self) -> tuple[int, int] | None:
        return self._camera.size

    def silent(self) -> None:
        self.report.facts["bodies in view"] = "0"
        self._says.clear()

    def _on_people(self, header: Header, people: bodies.Bodies2D) -> None:
        estimate.check_skeleton(people.skeleton, self._model)
        stamp_s = self._moment(header)
        size = people.image_size or self._camera.size
        people = replace(people, image_size=size)
        if self.settings.humans:  # REP-155: one id in topics, frames and messages
            people = people.with_track_ids([humans.valid_id(name) for name in people.track_ids])
        scene = self._pipeline(people, stamp_s, self._camera.lens, self._depth(stamp_s))
        self._count(scene)
        # The keypoints of some sources bear another frame than the one of their image.
        header = Header(stamp=header.stamp, frame_id=self._camera.frame or header.frame_id)
        with self.report.timed("publish"):
            self._says.publish(header, scene, size)

    def _moment(self, header: Header) -> float:
        """Seconds of an image: its stamp, or now where it is not filled in.

        Raises:
            InputError: it is a little older than the one before. More than a little is a bag
                that starts again, and everybody is somebody new.
        """
        stamp_s = convert.seconds(header.stamp)
        if not stamp_s:
            self.report.counts["without stamp"] += 1
            return time.monotonic()
        late, self._newest = self._newest - stamp_s, max(stamp_s, self._newest)
        if 0 < late < LATE_S:
            raise InputError("late image", f"an image is {late:.3f} s older than the one before")
        self._newest = stamp_s
        return stamp_s

    def _depth(self, stamp_s: float) -> np.ndarray | None:
        """The depth image of that moment; what is wrong with it costs nothing else."""
        try:
            return self._camera.depth(stamp_s)
        except InputError as error:
            self.reject(error.kind, str(error))
            return None

    def _count(self, scene: Scene) -> None:
        counts, facts = self.report.counts, self.report.facts
        counts["bodies"] += len(scene.people)
        counts["swaps repaired"] += int(scene.swapped.sum())
        facts["bodies in view"] = str(len(scene.people))
        if scene.placements is not None:
            facts["bodies placed"] = str(int(scene.placements.placed.sum()))
        if self.settings.smoothing:
            facts["smoothing delay (ms)"] = f"{1e3 * self._pipeline.delay_s:.0f}"
        if scene.too_many:
            self.report.counts["bodies left out"] += scene.too_many
            self.reject("too many bodies", f"{scene.too_many} left out, see max_people")
        if scene.problem:
            self.reject("cannot place", scene.problem)
        for count in scene.too_few:
            self.reject(
                "too few joints",
                f"a body with {count} of the 13 joints is left out, min_joints is "
                f"{self.settings.min_joints}",
            )


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(VipeNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
