"""bodies_2d -> embeddings, bodies_3d and markers, all people of an image in one batch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from std_msgs.msg import Header
from vipe_msgs.msg import Bodies2D, Bodies3D, Embeddings
from visualization_msgs.msg import MarkerArray

from vipe_core import bodies
from vipe_core.estimate import visible_joints
from vipe_ros import convert, markers, models
from vipe_ros.node import BaseNode, run
from vipe_ros.parameters import VipeParameters


class VipeNode(BaseNode):
    """Embeds and lifts people."""

    parameters_type = VipeParameters
    settings: VipeParameters
    _model: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("vipe_node", **kwargs)

    def configure(self) -> None:
        self._model = models.load(self.settings.model, self.settings.backend, self.report)
        # What the model cannot make is not promised by a topic.
        if self._model.metadata.has_embedding:
            self._embeddings = self.add_output(Embeddings, "embeddings")
        if self._model.metadata.has_pose:
            self._bodies = self.add_output(Bodies3D, "bodies_3d")
            self._markers = self.add_output(MarkerArray, "markers")
        self._shown: set[str] = set()

    def activate(self) -> None:
        self.add_input(Bodies2D, "bodies_2d", self._on_bodies)

    def release(self) -> None:
        self._model = None

    def _on_bodies(self, message: Bodies2D) -> None:
        people = self._usable(convert.bodies_2d(message).to_skeleton(models.SKELETON))
        with self.report.timed("infer"):
            estimates = self._model(people.points, people.visibility)
        self.report.counts["bodies"] += len(people)
        if self._model.metadata.has_embedding:
            out = convert.embeddings_message(message.header, people, estimates, self._model)
            self.publish(self._embeddings, out)
        if estimates.joints is not None and estimates.std is not None:
            self._publish_poses(message.header, people, estimates.joints, estimates.std)

    def _usable(self, people: bodies.Bodies2D) -> bodies.Bodies2D:
        """The people with enough joints; the others are counted and left out."""
        seen = visible_joints(people.points, people.visibility)
        enough = seen >= self.settings.min_joints
        for count in seen[~enough]:
            self.reject(
                "too few joints",
                f"a body with {count} of the 13 joints is left out, min_joints is "
                f"{self.settings.min_joints}",
            )
        return people if enough.all() else convert.select(people, enough)

    def _publish_poses(
        self, header: Header, people: bodies.Bodies2D, joints: np.ndarray, std: np.ndarray
    ) -> None:
        """Joints (P, 17, 3) and std (P, 17) in statures."""
        height, ids = self.settings.height, people.track_ids
        joints, std = joints * height, std * height
        out = convert.bodies_3d_message(header, ids, joints, std, height, self._model)
        self.publish(self._bodies, out)
        if self._shown or self._markers.get_subscription_count():
            self._publish_markers(header, ids, joints, std)

    def _publish_markers(
        self, header: Header, ids: Sequence[str], joints: np.ndarray, std: np.ndarray
    ) -> None:
        """Drawing costs more than estimating, so only for somebody who looks."""
        names = [name or f"untracked_{i}" for i, name in enumerate(ids)]
        lost = self._shown.difference(names)
        shown = markers.markers(header.stamp, names, joints, std)
        shown += markers.removals(header.stamp, lost)
        self._shown = set(names) if self._markers.get_subscription_count() else set()
        self._markers.publish(MarkerArray(markers=shown))


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(VipeNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
