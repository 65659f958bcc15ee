"""The dataclasses that declare parameters, and the table they print."""

from __future__ import annotations

from dataclasses import fields

import pytest
import rclpy
import yaml
from rcl_interfaces.msg import ParameterType

from tests.ros.harness import ROOT, Peer
from vipe_core.errors import VipeError
from vipe_ros import parameters

CONFIG = ROOT / "config"
KINDS = pytest.mark.parametrize(("name", "kind"), parameters.NODES.items())


@pytest.fixture
def node(peer: Peer, request: pytest.FixtureRequest):
    """A node with the parameter overrides that the test names."""
    given = getattr(request, "param", ())
    made = rclpy.create_node(
        "holder",
        context=peer.node.context,
        parameter_overrides=[rclpy.Parameter(name, value=value) for name, value in given],
    )
    yield made
    made.destroy_node()


@KINDS
def test_declared_as_described(node, name: str, kind: type) -> None:
    assert parameters.declare(node, kind) == kind()
    for entry in fields(kind):
        descriptor = node.describe_parameter(entry.name)
        assert descriptor.description == entry.metadata["description"]
        if isinstance(entry.default, tuple):
            assert descriptor.type == ParameterType.PARAMETER_STRING_ARRAY
        if entry.metadata["low"] is not None:
            (limits,) = descriptor.floating_point_range or descriptor.integer_range
            assert limits.from_value == entry.metadata["low"]
            assert limits.to_value == entry.metadata["high"]


@KINDS
def test_every_parameter_is_explained(name: str, kind: type) -> None:
    for entry in fields(kind):
        assert entry.metadata["description"].endswith("."), entry.name
        assert f"| `{entry.name}` |" in parameters.table()


def test_table_of_all_nodes() -> None:
    text = parameters.table()
    assert all(f"**{name}**" in text for name in parameters.NODES)
    assert text.count("| `autostart` |") == text.count("| `input_depth` |") == 1
    assert "| `height` | double | `1.7` |" in text
    assert "From 0.3 to 2.6." in text


@pytest.mark.parametrize("node", [(("image_transport", "pigeon"),)], indirect=True)
def test_unknown_choice(node) -> None:
    with pytest.raises(VipeError, match="image_transport is 'pigeon'; known: raw, compressed"):
        parameters.declare(node, parameters.KeypointsParameters)


@pytest.mark.parametrize("node", [(("height", 17.0),)], indirect=True)
def test_out_of_range(node) -> None:
    with pytest.raises(VipeError, match="parameter height of holder"):
        parameters.declare(node, parameters.VipeParameters)


@pytest.mark.parametrize("node", [(("wait_for_topics", ["a:2", "b"]),)], indirect=True)
def test_array(node) -> None:
    found = parameters.declare(node, parameters.VideoParameters)
    assert found.wait_for_topics == ("a:2", "b")


@pytest.mark.parametrize("file", ["vipe.yaml", "demo.yaml"])
def test_files_name_only_parameters_that_exist(file: str) -> None:
    content = yaml.safe_load((CONFIG / file).read_text())
    for pattern, entry in content.items():
        kind = parameters.NODES[pattern.removeprefix("/**/")]
        known = {field.name: field for field in fields(kind)}
        for name, value in entry["ros__parameters"].items():
            assert type(value) is type(known[name].default), f"{file}: {pattern}.{name}"
            choices = known[name].metadata["choices"]
            assert not choices or value in choices


def test_robot_file_holds_the_defaults() -> None:
    content = yaml.safe_load((CONFIG / "vipe.yaml").read_text())
    for pattern, entry in content.items():
        defaults = parameters.NODES[pattern.removeprefix("/**/")]()
        for name, value in entry["ros__parameters"].items():
            assert value == getattr(defaults, name), f"{pattern}.{name}"
