"""Indexing on Ray: the same rows as one process, whatever dies on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import pytest

from tests.cli import vipe
from tests.core.gallery_rows import Stop, StopAfter
from tests.core.gallery_rows import rows as poses
from tests.model_factory import make_model
from tests.waiting import wait_for
from vipe_core import keypoint_file, runtime
from vipe_core.errors import VipeError
from vipe_core.gallery import Gallery, cluster, indexing
from vipe_core.gallery.indexing import Settings, Summary, Watch
from vipe_core.gallery.ledger import Ledger, State
from vipe_core.gallery.parts import Part, Task, Writer, read
from vipe_core.keypoint_file import KeypointFile

PLAIN = Settings(thumbnails=False)
# Ray asks for its own settings that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:`use_.*` is deprecated:DeprecationWarning:ray.data")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> runtime.Model:
    return runtime.load(make_model(tmp_path_factory.mktemp("model") / "model.onnx"))


@pytest.fixture(scope="module")
def raylet() -> Iterator[psutil.Process]:
    """A cluster of two workers, and this process connected to it; what its workers come from."""
    # Paths of sockets end at 107 bytes: pytest's folders are too deep.
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="vipe-ray-") as folder:
        patch.setenv("RAY_TMPDIR", folder)
        for name, value in cluster.local_environment().items():
            patch.setenv(name, value)
        import ray

        ray.init("local", num_cpus=2, object_store_memory=128 << 20, **cluster.QUIET)
        children = psutil.Process().children()
        yield next(child for child in children if child.name() == "raylet")
        ray.shutdown()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two long recordings and some short ones; in one are two people and a label."""
    folder = tmp_path / "archive"
    for seed, lead in enumerate([(2500,), (2500,), (50,), (1,)]):
        clip(folder / f"clip{seed}.npz", *lead, seed=seed)
    clip(folder / "pair.npz", 30, 2, label="dance")
    return folder


def clip(path: Path, *lead: int, seed: int = 0, label: str | None = None) -> Path:
    """A keypoint file of random poses, ten a second."""
    path.parent.mkdir(exist_ok=True)
    points = np.random.default_rng(seed).normal(300, 80, (*lead, 13, 2))
    content = KeypointFile(points, np.ones((*lead, 13)), "body13", fps=10.0, label=label)
    keypoint_file.write(path, content)
    return path


def contents(address: Path) -> list[tuple[str, ...]]:
    """Every row, embeddings to the last digit, sorted."""
    table = Gallery.open(address).table.to_arrow()
    columns = ["source", "stamp_s", "body", "label", "mean", "variance", "thumbnail"]
    rows = table.select(columns).to_pylist()
    return sorted(tuple(str(row[name]) for name in columns) for row in rows)


@pytest.mark.slow
def test_same_rows_as_one_process(raylet, archive, tmp_path, model):
    summary = cluster.index(tmp_path / "many", [archive], model)
    one = Gallery.create(tmp_path / "one", model, refresh_s=0)
    assert summary == indexing.index(one, [archive], model)
    assert summary.indexed == 5
    assert summary.rows == 5111
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    again = cluster.index(tmp_path / "many", [archive], model)
    assert (again.skipped, again.rows) == (5, 0)


class KillWorkers(Watch):
    """Kills every worker that embeds, when the first poses have come."""

    def __init__(self, raylet: psutil.Process) -> None:
        self.raylet = raylet
        self.killed: list[int] = []

    def step(self) -> None:
        if self.killed:
            return
        for process in self.raylet.children():
            if "MapWorker" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                self.killed.append(process.pid)


def test_workers_killed_half_way(raylet, archive, tmp_path, model, monkeypatch):
    monkeypatch.setattr(cluster, "BLOCK_BYTES", 1000)  # every part is handed on at once
    watch = KillWorkers(raylet)
    summary = cluster.index(tmp_path / "many", [archive], model, PLAIN, watch=watch)
    assert watch.killed
    one = Gallery.create(tmp_path / "one", model, refresh_s=0)
    assert summary == indexing.index(one, [archive], model, PLAIN)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    wait_for(lambda: not any(map(psutil.pid_exists, watch.killed)), "the killed to be gone")


def test_all_listen_on_localhost_alone(raylet):
    this = psutil.Process()
    connections = [
        connection
        for process in (this, *this.children(recursive=True))
        for connection in process.net_connections("inet")
    ]
    listening = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


@pytest.mark.slow
def test_cut_off_changed_broken_and_whole(raylet, tmp_path, model):
    """As by one process: continued, made anew, reported, passed over."""
    folder = tmp_path / "archive"
    cut, changed = clip(folder / "cut.npz", 250), clip(folder / "changed.npz", 20)
    whole = clip(folder / "whole.npz", 30)
    addresses = [tmp_path / "many", tmp_path / "one"]
    for address in addresses:
        gallery = Gallery.create(address, model, refresh_s=0)
        indexing.index(gallery, [changed, whole], model, PLAIN)
        with pytest.raises(Stop):
            indexing.index(gallery, [cut], model, PLAIN, StopAfter(150), flush_s=0)
    clip(changed, 25, seed=1)
    (folder / "broken.mcap").write_bytes(b"no bag")
    many = cluster.index(addresses[0], [folder], model, PLAIN)
    assert many == indexing.index(Gallery.open(addresses[1]), [folder], model, PLAIN)
    assert (many.indexed, many.skipped, many.rows, len(many.failed)) == (2, 1, 125, 1)
    assert contents(addresses[0]) == contents(addresses[1])


@pytest.fixture
def writer(tmp_path, model) -> Writer:
    gallery = Gallery.create(tmp_path / "gallery", model, refresh_s=0)
    tasks = [Task(name, name, "1", State.NONE, None) for name in ("a", "b")]
    return Writer(gallery, Ledger(gallery), tasks, Watch(), Summary())


def parts(path: Path, source: str, model: runtime.Model) -> list[Part]:
    return list(read(Task(str(path), source, "1", State.NONE, None), model, PLAIN))


def test_parts_are_of_whole_moments(tmp_path, model, monkeypatch):
    monkeypatch.setattr("vipe_core.gallery.parts.PART_ROWS", 25)
    found = parts(clip(tmp_path / "pair.npz", 40, 2), "a", model)
    assert [part.number for part in found] == [0, 1, 2, 3]
    assert [part.moments for part in found] == [13, 13, 13, 1]
    assert [0 if part.rows is None else len(part.rows) for part in found] == [26, 26, 26, 2]
    assert [part.last for part in found] == [False, False, False, True]


def test_parts_twice_and_out_of_order_are_written_once_in_order(
    tmp_path, model, monkeypatch, writer
):
    monkeypatch.setattr("vipe_core.gallery.parts.PART_ROWS", 25)
    a, b = (parts(clip(tmp_path / f"{n}.npz", 100, seed=i), n, model) for i, n in enumerate("ab"))
    with writer:
        for part in (a[1], b[0], a[0], a[1], a[0], b[0], a[3], a[2], a[2], *b[1:], *a, a[4]):
            writer.take(part)
    table = Gallery.open(tmp_path / "gallery").table.to_arrow()
    for name in "ab":
        stamps = [row["stamp_s"] for row in table.to_pylist() if row["source"] == name]
        np.testing.assert_allclose(stamps, np.arange(100) / 10)
    assert writer.summary == Summary(indexed=2, rows=200)


def test_a_recording_is_whole_only_when_its_rows_are_on_disk(tmp_path, model, writer):
    (part,) = parts(clip(tmp_path / "a.npz", 10), "a", model)
    ledger = Ledger(Gallery.open(tmp_path / "gallery"))
    with writer:
        writer.take(part)
        assert ledger.state("a", "1") is State.PART
        assert len(Gallery.open(tmp_path / "gallery")) == 0
    assert ledger.state("a", "1") is State.WHOLE
    assert len(Gallery.open(tmp_path / "gallery")) == 10


def test_read_no_further_is_not_whole(tmp_path, model, writer):
    (part,) = parts(clip(tmp_path / "a.npz", 10), "a", model)
    with writer:
        writer.take(replace(part, error="a: damaged"))
    assert Ledger(Gallery.open(tmp_path / "gallery")).state("a", "1") is State.PART
    assert writer.summary == Summary(rows=10, failed=["a: damaged"])


def test_without_ray(archive, tmp_path, model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(VipeError, match=r"needs Ray: pip install -e '\.\[cluster\]'"):
        cluster.index(tmp_path / "gallery", [archive], model)


def test_a_worker_with_another_model(model):
    with pytest.raises(VipeError, match=r"another one .* than here \(0123\): give all machines"):
        cluster._Embedder(str(model.path), "0123", PLAIN)


@pytest.mark.slow
def test_command_starts_a_cluster_and_ends_it(archive, tmp_path, tmp_path_factory, model):
    words = ["index", tmp_path / "many", archive, "--model", model.path, "--ray", "local"]
    done = vipe(*words, RAY_TMPDIR=str(tmp_path_factory.mktemp("ray")))
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("vipe index: 5 indexed (5,111 poses)\n")
    assert "fork" not in done.stderr  # LanceDB is opened when Ray's processes are there
    one = Gallery.create(tmp_path / "one", model, refresh_s=0)
    indexing.index(one, [archive], model)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_command_without_a_cluster_there(archive, tmp_path, model):
    done = vipe("index", tmp_path / "many", archive, "--model", model.path, "--ray", "127.0.0.1:1")
    assert done.returncode == 2
    assert "no Ray cluster at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_task_on_its_way():
    for after in (None, 1.5):
        task = Task("/a/b.mp4", "b.mp4", "v1", State.PART, after)
        assert Task.from_json(task.to_json()) == task


@pytest.mark.parametrize("thumbnail", [None, [b"one", None, b""]])
def test_a_part_on_its_way(thumbnail):
    rows = poses(3, body=["0", "1", "\u00e9"], label="wave", thumbnail=thumbnail)
    sent = Part("a.mp4", 7, 3, rows, True, "cut off", ("one", "two"))
    came = Part.from_bytes(sent.to_bytes())
    assert replace(came, rows=None) == replace(sent, rows=None)
    for name in ("source", "body", "label", "thumbnail"):
        assert getattr(came.rows, name) == getattr(rows, name)
    for name in ("mean", "variance", "stamp_s"):
        np.testing.assert_array_equal(getattr(came.rows, name), getattr(rows, name))


def test_a_part_without_rows_on_its_way():
    sent = Part("a.mp4", 0, 2, None)
    assert Part.from_bytes(sent.to_bytes()) == sent
