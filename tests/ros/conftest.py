"""A domain and a peer per test or per module, and the model that the nodes are given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

# Fast DDS reads it when the first participant of the process is made. Jazzy (rclpy 7) knows the
# older name only, and later ones complain about that.
AGE = "RTPS" if int(version("rclpy").split(".")[0]) < 8 else "DDS"
PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"
os.environ[f"FAST{AGE}_DEFAULT_PROFILES_FILE"] = str(PROFILE)

from tests.model_factory import make_model  # noqa: E402
from tests.ros.harness import Peer, free_domain  # noqa: E402


@pytest.fixture(scope="module")
def domain() -> Iterator[int]:
    with free_domain() as number:
        yield number


@pytest.fixture(scope="module")
def peer(domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One peer for the tests of a module, and one set of nodes."""
    peer = Peer(domain, tmp_path_factory.mktemp("ros"))
    yield peer
    peer.close()


@pytest.fixture
def fresh_peer(tmp_path: Path) -> Iterator[Peer]:
    """A peer for a test that starts nodes of its own."""
    with free_domain() as number:
        peer = Peer(number, tmp_path)
        yield peer
        peer.close()


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights that keeps the contract."""
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True)
