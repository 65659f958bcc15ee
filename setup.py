"""One distribution, two build systems: pip on a laptop, ament_python on a robot.

Three import packages live where their readers expect them, so two of them are mapped:
``vipe_ros`` lies in ``ros_ws/src/vipe_ros`` and ``vipe_training`` in ``training``.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
NAME = "vipe"
NODES = ("keypoints_node", "vipe_node", "action_node", "search_node", "video_node", "all_in_one")
VERBS = {
    "vipe_core": (
        *("embed", "lift", "index", "search", "align", "teach", "recognize"),
        *("model", "compile", "selftest", "doctor", "fetch"),
    ),
    "vipe_training": ("data", "train", "evaluate", "export", "generate"),
}


def version() -> str:
    """The version written in vipe_core, without importing it."""
    text = (ROOT / "vipe_core" / "__init__.py").read_text()
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


def mapped(package: str, folder: str) -> list[str]:
    """``package`` and the packages below it, when its source lies in ``folder``."""
    return [package, *(f"{package}.{inner}" for inner in find_packages(folder))]


def share(*patterns: str) -> list[tuple[str, list[str]]]:
    """Files of the source tree that go to the same place below share/vipe."""
    folders: dict[str, list[str]] = {}
    for pattern in patterns:
        for path in sorted(Path().glob(pattern)):
            if path.is_file():
                folders.setdefault(path.parent.as_posix(), []).append(path.as_posix())
    return [(f"share/{NAME}/{folder}".rstrip("./"), files) for folder, files in folders.items()]


setup(
    name=NAME,
    version=version(),
    description="View-invariant human pose for robots: embeddings, 3D poses and actions",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    maintainer="VIPE maintainers",
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["vipe_core", "vipe_core.*"]),
        *mapped("vipe_ros", "ros_ws/src/vipe_ros"),
        *mapped("vipe_training", "training"),
    ],
    package_dir={"vipe_ros": "ros_ws/src/vipe_ros", "vipe_training": "training"},
    package_data={"vipe_training": ["configs/*.yaml", "augment/*.npz", "evaluate/report/*.html"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        *share("package.xml", "launch/*.launch.py", "config/*", "config/detectors/*", "models/*"),
    ],
    zip_safe=False,
    install_requires=["numpy>=1.26", "scipy>=1.8", "tqdm", "setuptools"],
    extras_require={
        "onnx": ["onnxruntime>=1.17"],
        # TensorRT itself comes with JetPack; JetPack 6 has CUDA 12, JetPack 7 has CUDA 13.
        "jetpack6": ["cuda-bindings==12.*", "onnx>=1.16"],
        "jetpack7": ["cuda-bindings==13.*", "onnx>=1.16"],
        "rtx": ["tensorrt-rtx>=1.7", "cuda-bindings==13.*", "onnx>=1.16"],
        "detector": [
            "ai-edge-litert>=1.2",
            "onnxruntime>=1.17",
            "opencv-python-headless>=4.8",
            "PyYAML",
        ],
        "demo": [
            "onnxruntime>=1.17",
            "ai-edge-litert>=1.2",
            "opencv-python-headless>=4.8",
            "matplotlib>=3.8",
            "rosbags>=0.11",
        ],
        "train": [
            "torch>=2.4",
            "onnx>=1.16",
            "onnxruntime>=1.17",
            "safetensors",
            "PyYAML",
            "tensorboardX",
            "matplotlib>=3.8",
            "jinja2>=3.1",
        ],
        "bags": ["rosbags>=0.11"],
        "search": ["lancedb>=0.30", "opencv-python-headless>=4.8"],
        "cluster": ["ray[data]>=2.40", "lancedb>=0.30", "opencv-python-headless>=4.8"],
        "data": ["cdflib>=1.3", "h5py>=3.10"],
        "dev": ["pytest", "pytest-xdist", "ruff", "pyright"],
    },
    entry_points={
        "console_scripts": [
            "vipe = vipe_core.cli:main",
            *(f"{node} = vipe_ros.{node}:main" for node in NODES),
        ],
        "vipe.verbs": [
            f"{verb} = {package}.cli.{verb}:run"
            for package, verbs in VERBS.items()
            for verb in verbs
        ],
    },
)
