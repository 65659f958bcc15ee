"""Everything that vipe_node says of the people in one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from vipe_msgs.msg import Bodies2D, Bodies3D, Embeddings, Skeleton
from visualization_msgs.msg import MarkerArray

from vipe_ros import convert, markers, transforms
from vipe_ros.errors import InputError
from vipe_ros.humans import Humans

if TYPE_CHECKING:
    from std_msgs.msg import Header

    from vipe_core.pipeline import Scene
    from vipe_core.runtime import Model
    from vipe_ros.vipe_node import VipeNode


class SceneOutputs:
    """The publishers of vipe_node, until cleanup.

    What the model cannot make is not promised by a topic. What only some look at, and costs
    time, is made when somebody subscribes.

    Args:
        node: its live parameters are read at every image.

    Raises:
        VipeError: ``humans`` is set and hri_msgs is not installed.
    """

    def __init__(self, node: VipeNode, model: Model) -> None:
        self._node, self._model = node, model
        add, info = node.add_output, model.metadata
        self._tracked = add(Bodies2D, "bodies_2d/tracked")
        self._embeddings = add(Embeddings, "embeddings") if info.has_embedding else None
        self._humans = Humans(node) if node.settings.humans else None
        self._bodies: Any = None
        self._markers: Any = None
        self._tf: Any = None
        self._tf_message: Any = None
        self._tf_stamp = (0, 0)
        if info.has_pose:
            self._bodies = add(Bodies3D, "bodies_3d")
            self._markers = add(MarkerArray, "markers")
            self._skeleton = add(Skeleton, "bodies_3d/skeleton", latched=True)
            self._tf = self._open_tf()
        self._shown: set[str] = set()

    def describe(self) -> None:
        """Publish what is latched; the node is active."""
        if self._model.metadata.has_pose:
            name = self._model.metadata.skeleton_3d or ""
            self._skeleton.publish(convert.skeleton_message(name))

    def publish(self, header: Header, scene: Scene, size: tuple[int, int] | None) -> None:
        """One image.

        Args:
            header: of the image.
            scene: its people.
            size: (width, height) of the image in pixels, when known.
        """
        publish = self._node.publish
        if self._embeddings is not None:
            people = scene.body13
            publish(
                self._embeddings,
                convert.embeddings_message(header, people, scene.estimates, self._model),
            )
        if self._bodies is not None:
            publish(self._bodies, convert.bodies_3d_message(header, scene, self._model))
            self._node.guard(self._publish_tf, header, scene)
            if self._shown or self._markers.get_subscription_count():
                self._publish_markers(header, scene)
        if self._tracked.get_subscription_count():
            message = convert.bodies_2d_message(header, scene.people, swapped=scene.swapped)
            publish(self._tracked, message)
        if self._humans is not None:
            self._humans.publish(header, scene.people, size, scene.joints)

    def clear(self) -> None:
        """Nobody is followed any more: take them off the screen, while still active."""
        if self._humans is not None:
            self._humans.clear()
        if self._markers is not None and self._shown:
            stamp = self._node.get_clock().now().to_msg()
            self._markers.publish(MarkerArray(markers=markers.removals(stamp, self._shown)))
            self._shown.clear()

    def _open_tf(self) -> Any:
        """The publisher of /tf; None, and a word, where tf2_msgs is not installed."""
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self._node.reject("no tf", "tf2_msgs is not installed: nothing goes to /tf")
            return None
        self._tf_message = TFMessage
        return self._node.add_output(TFMessage, "/tf", depth=100)

    def _publish_tf(self, header: Header, scene: Scene) -> None:
        """Of people who are placed: the others' joints would hang from nothing."""
        settings, placements = self._node.settings, scene.placements
        if self._tf is None or placements is None or not settings.publish_tf:
            return
        rows = np.flatnonzero(placements.placed)
        stamp = (header.stamp.sec, header.stamp.nanosec)
        # tf2 takes a frame once per stamp; one that is not filled in has no place in time.
        if not len(rows) or not any(stamp) or stamp == self._tf_stamp:
            return
        if not header.frame_id:
            raise InputError("no frame", "neither keypoints nor camera_info say their frame: no tf")
        self._tf_stamp = stamp
        ids = [scene.people.track_ids[row] for row in rows]
        sent = transforms.bodies(header, scene.people.track_ids, placements)
        if settings.joints_tf and scene.joints is not None:
            sent += transforms.joints(header, ids, scene.joints[rows])
        self._tf.publish(self._tf_message(transforms=sent))
        self._node.report.counts["published tf"] += 1

    def _publish_markers(self, header: Header, scene: Scene) -> None:
        """Drawing costs more than estimating, so only for somebody who looks."""
        assert scene.joints is not None
        assert scene.std is not None
        names = [name or f"untracked_{i}" for i, name in enumerate(scene.people.track_ids)]
        lost = self._shown.difference(names)
        shown = markers.markers(header.stamp, names, scene.joints, scene.std)
        shown += markers.removals(header.stamp, lost)
        self._shown = set(names) if self._markers.get_subscription_count() else set()
        self._markers.publish(MarkerArray(markers=shown))
