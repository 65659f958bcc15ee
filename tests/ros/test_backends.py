"""A node on an engine of TensorRT, and one whose engine does not work: each a real process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from vipe_msgs.msg import Bodies2D, Embeddings

from tests.ros.harness import Peer, body, people, standing
from tests.trt.install import installed
from vipe_core import runtime
from vipe_core.runtime.trt import build
from vipe_core.runtime.trt.cache import EngineCache
from vipe_core.runtime.trt.options import Options

NODE = "/vipe_node"


def first_answer(peer: Peer) -> Embeddings:
    """Of a node that may not listen yet: asked again until it answers."""
    answers = peer.listen(Embeddings, "embeddings")
    publish = peer.talk(Bodies2D, "bodies_2d")
    peer.until(lambda: peer.node.count_publishers("embeddings"), "publisher of embeddings")

    def asked() -> Embeddings | None:
        publish(people(1, body(standing())))
        return answers[0] if answers else None

    return peer.until(asked, "answer")


def test_a_node_on_an_engine(
    fresh_peer: Peer, model_path: Path, tmp_path: Path, engines: Path
) -> None:
    with installed(tmp_path):
        build.ensure(model_path, "tensorrt", Options((1, 8)), EngineCache())
        fresh_peer.start("vipe_node", model=str(model_path))
        answer = first_answer(fresh_peer)
        values = fresh_peer.status(NODE).values
    assert (values["backend"], values["precision"]) == ("tensorrt", "fp32")
    assert not any(name.startswith("not used") for name in values)
    cpu = runtime.load(model_path, "onnxruntime-cpu")
    expected = cpu(standing()[None].astype(np.float32)).mean[0]
    np.testing.assert_allclose(answer.bodies[0].mean, expected, atol=1e-4)


def test_a_node_whose_engine_does_not_work(
    fresh_peer: Peer, model_path: Path, tmp_path: Path, engines: Path
) -> None:
    with installed(tmp_path):
        build.ensure(model_path, "tensorrt", Options((1,)), EngineCache())
    with installed(tmp_path, faults=("no memory",)):
        fresh_peer.start("vipe_node", model=str(model_path))
        first_answer(fresh_peer)
        values = fresh_peer.status(NODE).values
    assert values["backend"] == "onnxruntime-cpu"
    assert "cudaErrorMemoryAllocation" in values["not used: tensorrt"]


def test_a_node_that_is_told_to_use_tensorrt_and_cannot(
    fresh_peer: Peer, model_path: Path, engines: Path
) -> None:
    process = fresh_peer.start("vipe_node", model=str(model_path), backend="tensorrt")
    status = fresh_peer.status(NODE, lambda s: s.level == b"\x02")
    assert "the Python package tensorrt is not installed" in status.message
    assert process.said("the Python package tensorrt is not installed") >= 1
