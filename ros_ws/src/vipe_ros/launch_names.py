"""Full names of topics and nodes for launch files, which have no node to ask yet."""

from __future__ import annotations


def absolute(name: str, namespace: str) -> str:
    """``/robot/bodies_2d`` of the relative ``bodies_2d`` in the namespace ``robot``."""
    if name.startswith("/"):
        return name
    return "/" + "/".join(part for part in (namespace.strip("/"), name) if part)


def camera_info(name: str, image: str, namespace: str) -> str:
    """Where nodes find the CameraInfo: beside the image, unless ``name`` is another one.

    The same rule as :func:`vipe_ros.camera.camera_info_topic`, where image and camera_info are
    remapped to these names.
    """
    if name != "camera_info":
        return absolute(name, namespace)
    return absolute(image, namespace).rpartition("/")[0] + "/camera_info"
