"""Every topic of every node, declared once.

Names are relative to the namespace of the node unless they begin with ``/``. The table is
what the README shows, and the tests hold running nodes to it:

    python -m vipe_ros.topics
"""

from __future__ import annotations

from dataclasses import dataclass

IN, OUT = "in", "out"


@dataclass(frozen=True)
class Topic:
    """One topic of one node.

    Attributes:
        node: executable that has it.
        way: ``in`` or ``out``.
        name: relative name.
        kind: type, ``package/msg/Name``.
        what: one line for a reader.
        when: what makes the node open it; "" for always.
    """

    node: str
    way: str
    name: str
    kind: str
    what: str
    when: str = ""


TOPICS = (
    Topic("keypoints_node", IN, "image", "sensor_msgs/msg/Image", "images of a camera"),
    Topic(
        "keypoints_node", IN, "image/compressed", "sensor_msgs/msg/CompressedImage",
        "the same, compressed", "image_transport is compressed",
    ),
    Topic(
        "keypoints_node", OUT, "bodies_2d", "vipe_msgs/msg/Bodies2D",
        "keypoints in pixels with visibility, as detected: no ids yet",
    ),
    Topic(
        "keypoints_node", OUT, "bodies_2d/skeleton", "vipe_msgs/msg/Skeleton",
        "names and bones of its joints; latched",
    ),
    Topic(
        "vipe_node", IN, "bodies_2d", "vipe_msgs/msg/Bodies2D",
        "people of any 2D pose node: see `keypoints_type`",
    ),
    Topic(
        "vipe_node", IN, "camera_info", "sensor_msgs/msg/CameraInfo",
        "the lens; beside the topic that `image` is remapped to, unless remapped itself",
    ),
    Topic(
        "vipe_node", IN, "depth", "sensor_msgs/msg/Image",
        "depth registered to the image (16UC1 millimetres, 32FC1 metres)", "placement is depth",
    ),
    Topic(
        "vipe_node", OUT, "embeddings", "vipe_msgs/msg/Embeddings",
        "mean and variance, also of the mirrored person; a and b of the match probability",
    ),
    Topic(
        "vipe_node", OUT, "bodies_3d", "vipe_msgs/msg/Bodies3D",
        "17 joints in metres in the frame `body_<id>`, std per joint; where that frame is, with "
        "covariance",
    ),
    Topic(
        "vipe_node", OUT, "bodies_3d/skeleton", "vipe_msgs/msg/Skeleton",
        "names and bones of its joints; latched",
    ),
    Topic(
        "vipe_node", OUT, "bodies_2d/tracked", "vipe_msgs/msg/Bodies2D",
        "the people of `bodies_2d` with ids, sides repaired; made when somebody subscribes",
    ),
    Topic(
        "vipe_node", OUT, "markers", "visualization_msgs/msg/MarkerArray",
        "skeletons in the frames `body_<id>`, fainter where less certain; made when somebody "
        "subscribes",
    ),
    Topic(
        "vipe_node", OUT, "/tf", "tf2_msgs/msg/TFMessage",
        "camera -> `body_<id>`, with `joints_tf` also `body_<id>` -> `<joint>_<id>`",
    ),
    Topic(
        "vipe_node", OUT, "/humans/bodies/tracked", "hri_msgs/msg/IdsList",
        "REP-155: who is in view", "humans is true",
    ),
    Topic(
        "vipe_node", OUT, "/humans/bodies/<id>/skeleton2d", "hri_msgs/msg/Skeleton2D",
        "REP-155: 18 points, 0..1 of the image", "humans is true",
    ),
    Topic(
        "vipe_node", OUT, "/humans/bodies/<id>/joint_states", "sensor_msgs/msg/JointState",
        "REP-155: 20 angles of the kinematic model", "humans is true",
    ),
    Topic(
        "action_node", IN, "embeddings", "vipe_msgs/msg/Embeddings", "of `vipe_node`",
    ),
    Topic(
        "action_node", IN, "bodies_2d/tracked", "vipe_msgs/msg/Bodies2D",
        "of `vipe_node`: kept with an example, so that another model can embed it again",
        "while it is taught",
    ),
    Topic(
        "action_node", OUT, "actions", "vipe_msgs/msg/Actions",
        "label or `unknown`, probability, start and end; what seems to be under way, and how far",
    ),
    Topic(
        "action_node", OUT, "following", "vipe_msgs/msg/Following",
        "how far a person has come along a reference, how fast, how alike", "after `~/follow`",
    ),
    Topic(
        "search_node", IN, "embeddings", "vipe_msgs/msg/Embeddings", "of `vipe_node`",
    ),
    Topic(
        "search_node", IN, "bodies_2d/tracked", "vipe_msgs/msg/Bodies2D",
        "of `vipe_node`, for small pictures and for searches by some joints of a person in view",
    ),
    Topic("video_node", OUT, "image", "sensor_msgs/msg/Image", "images of the file"),
    Topic(
        "video_node", OUT, "camera_info", "sensor_msgs/msg/CameraInfo",
        "their size; calibrated when `fov` says how wide the lens is",
    ),
    Topic("video_node", OUT, "finished", "std_msgs/msg/Empty", "the video has ended; latched"),
    Topic(
        "all nodes", OUT, "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray",
        "rates, latencies, drops, errors by kind, backend, model fingerprint; once a second",
    ),
)  # fmt: skip


def table() -> str:
    """Markdown: one row per topic."""
    rows = ["| node | | topic | type | what |", "|---|---|---|---|---|"]
    for topic in TOPICS:
        node = topic.node if topic.node == "all nodes" else f"`{topic.node}`"
        what = topic.what + (f" ({topic.when})" if topic.when else "")
        kind = topic.kind.replace("/msg/", "/")
        rows.append(f"| {node} | {topic.way} | `{topic.name}` | {kind} | {what} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
