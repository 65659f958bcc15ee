"""The gallery of poses seen, against naive loops over its rows."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from tests.core.gallery_rows import ORIGIN, filled, rows
from tests.model_factory import make_model
from vipe_core import runtime
from vipe_core.embedding import likelihood_distance, match_probability
from vipe_core.errors import VipeError
from vipe_core.gallery import Appender, Filter, Gallery, Origin, Rows, nearest, upkeep
from vipe_core.gallery.searching import candidates_for

TRICKY = "x' OR 1=1 --"


def naive(
    given: Rows, mean: np.ndarray, variance: np.ndarray, k: int, apart: int = 0
) -> tuple[list, list]:
    """Row numbers and probability, one pair at a time: the nearest by likelihood distance, of
    one body none within ``apart`` rows of a nearer one, then by sampled probability."""

    def pair(i: int) -> tuple[np.ndarray, ...]:
        return mean, variance, np.float64(given.mean[i]), np.float64(given.variance[i])

    near: list[int] = []
    for _, i in sorted((likelihood_distance(*pair(i)), i) for i in range(len(given))):
        if all(given.body[i] != given.body[j] or abs(i - j) >= apart for j in near):
            near.append(i)
    near = near[:k]
    scored = [
        (-match_probability(*pair(i), 1.5, 0.75), likelihood_distance(*pair(i)), i) for i in near
    ]
    best = sorted(scored)[:k]
    return [i for _, _, i in best], [-p for p, _, _ in best]


@pytest.fixture(scope="module")
def query() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.normal(0, 0.5, 16), rng.uniform(0.01, 0.1, 16)


def test_what_goes_in_comes_out(tmp_path):
    given = rows(3, body=["1", "2", "1"], label=["", "wave", ""], thumbnail=[b"a", None, b"c"])
    gallery = filled(tmp_path, given)
    (best,) = gallery.search(given.mean[1], given.variance[1] * 0, k=1)
    assert (best.source, best.stamp_s, best.body, best.label) == ("a.mp4", 0.1, "2", "wave")
    assert best.thumbnail is None
    pictures = {found.row: found.thumbnail for found in gallery.search(*query_of(given, 0), k=3)}
    assert sorted(map(str, pictures.values())) == ["None", "b'a'", "b'c'"]


def query_of(given: Rows, row: int) -> tuple[np.ndarray, np.ndarray]:
    return given.mean[row], given.variance[row]


@pytest.mark.parametrize("k", [1, 20, 200])
def test_the_order_is_that_of_the_probability(tmp_path, query, k):
    given = rows(200)
    found = filled(tmp_path, given).search(*query, k)
    expected, probability = naive(given, *query, k)
    assert [round(10 * one.stamp_s) for one in found] == expected
    np.testing.assert_allclose([one.probability for one in found], probability, atol=1e-12)


def test_where_probability_saturates_the_distance_decides(tmp_path):
    given = rows(30)
    far = replace(given, mean=given.mean + 1e3)
    query = np.zeros(16), np.full(16, 0.1)
    found = filled(tmp_path, far).search(*query, k=30)
    assert len({one.probability for one in found}) == 1
    assert [round(10 * one.stamp_s) for one in found] == naive(far, *query, 30)[0]


def test_the_same_seed_gives_the_same_answers(tmp_path, query):
    gallery = filled(tmp_path, rows(100))
    assert gallery.search(*query, seed=3) == gallery.search(*query, seed=3)
    first, second = (gallery.search(*query, seed=seed)[0].probability for seed in (3, 4))
    assert first != second


def test_fewer_rows_than_answers(tmp_path, query):
    assert len(filled(tmp_path, rows(5)).search(*query, k=20)) == 5


def test_rows_without_an_embedding_are_left_out_and_counted(tmp_path, query):
    given = rows(10)
    given.mean[3] = np.nan
    given.variance[7, 2] = np.inf
    gallery = Gallery.create(tmp_path / "gallery", ORIGIN)
    assert gallery.add(given) == 2
    assert len(gallery) == 8
    stamps = [round(10 * one.stamp_s) for one in gallery.search(*query)]
    assert sorted(stamps) == [0, 1, 2, 4, 5, 6, 8, 9]


FILTERS = [
    (Filter(source="a.mp4"), lambda s, b, name, t: s == "a.mp4"),
    (Filter(source="bags/monday"), lambda s, b, name, t: s.startswith("bags/monday/")),
    (Filter(source="bags/mon"), lambda s, b, name, t: False),
    (Filter(source="100%_'s"), lambda s, b, name, t: s == "100%_'s"),
    (Filter(label="wave"), lambda s, b, name, t: name == "wave"),
    (Filter(label=""), lambda s, b, name, t: name == ""),
    (Filter(label=TRICKY), lambda s, b, name, t: name == TRICKY),
    (Filter(label="x' OR 1=1 -- "), lambda s, b, name, t: False),
    (Filter(label="\\"), lambda s, b, name, t: False),
    (Filter(label='"label"'), lambda s, b, name, t: False),
    (Filter(since=0.7), lambda s, b, name, t: t >= 0.7),
    (Filter(until=0.3), lambda s, b, name, t: t <= 0.3),
    (Filter(since=-1e-9, until=0.0), lambda s, b, name, t: t == 0),
    (Filter(source="a.mp4", label="wave", since=0.2, until=0.6), None),
    (Filter(), lambda s, b, name, t: True),
]


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> tuple[Gallery, list[tuple[str, str, str, float]]]:
    """A gallery of several sources and labels, and what its rows say."""
    sources = ["a.mp4", "bags/monday/1.mcap", "bags/monday2", "100%_'s"]
    labels = ["", "wave", TRICKY]
    parts = [
        rows(10, seed, source, label=[labels[i % 3] for i in range(10)])
        for seed, source in enumerate(sources)
    ]
    gallery = filled(tmp_path_factory.mktemp("many"), *parts)
    said = [
        (part.source[i], part.body[i], part.label[i], float(part.stamp_s[i]))
        for part in parts
        for i in range(10)
    ]
    return gallery, said


@pytest.mark.parametrize(("where", "fits"), FILTERS, ids=[f.sql() or "all" for f, _ in FILTERS])
def test_filters(many, query, where, fits):
    gallery, said = many
    if fits is None:
        expected = [row for row in said if row[::2] == ("a.mp4", "wave") and 0.2 <= row[3] <= 0.6]
    else:
        expected = [row for row in said if fits(*row)]
    found = gallery.search(*query, k=100, where=where)
    assert sorted((f.source, f.body, f.label, f.stamp_s) for f in found) == sorted(expected)
    assert gallery.count(where) == len(expected)


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_that_is_not_a_number(many, query, name):
    with pytest.raises(VipeError, match=f"{name}: nan, seconds needed"):
        many[0].search(*query, where=Filter(**{name: float("nan")}))


def test_answers_apart_in_time(tmp_path, query):
    given = rows(300, body=[str(i % 2) for i in range(300)])
    gallery = filled(tmp_path, given)
    found = gallery.search(*query, k=12, apart_s=2.0)
    assert [round(10 * one.stamp_s) for one in found] == naive(given, *query, 12, 20)[0]


def test_apart_within_a_source_alone(tmp_path, query):
    gallery = filled(tmp_path, *(rows(1, 0, name) for name in "abc"))
    assert len(gallery.search(*query, apart_s=1e9)) == 3


def test_a_row_keeps_its_number_when_files_are_merged(tmp_path, query):
    gallery = filled(tmp_path, *(rows(10, seed) for seed in range(5)))
    before = gallery.search(*query, k=50)
    gallery.optimize()
    assert gallery.search(*query, k=50) == before
    gallery.remove("nothing")
    assert gallery.search(*query, k=50) == before


def test_with_a_vector_index_and_rows_behind_it(tmp_path, query, monkeypatch):
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 1000)
    first, second = rows(3000), rows(500, 1, "b.mp4")
    gallery = filled(tmp_path, first)
    gallery.optimize()
    assert [index.index_type for index in gallery.table.list_indices()] == ["IvfFlat"]
    assert [index.name for index in gallery.table.list_indices()] == ["key_14"]
    gallery.add(second)
    found = gallery.search(*query, k=20)
    both = replace(
        first,
        mean=np.concatenate([first.mean, second.mean]),
        variance=np.concatenate([first.variance, second.variance]),
        stamp_s=np.arange(3500.0),
        **dict.fromkeys(("source", "body", "label"), ""),
        thumbnail=None,
    )
    expected, _ = naive(both, *query, 20)
    rows_found = [round(10 * f.stamp_s) + 3000 * (f.source == "b.mp4") for f in found]
    assert len(set(rows_found) & set(expected)) >= 19
    assert {f.source for f in gallery.search(*query, where=Filter(source="b.mp4"))} == {"b.mp4"}


def test_the_index_is_made_anew_when_it_has_grown_too_small(tmp_path, query, monkeypatch):
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 500)
    gallery = filled(tmp_path, rows(600))
    names = []
    for seed in range(5):
        gallery.optimize()
        names.append([index.name for index in gallery.table.list_indices()])
        gallery.add(rows(600, seed + 1))
    assert names == [["key_6"], ["key_6"], ["key_6"], ["key_12"], ["key_12"]]
    assert len(gallery.search(*query, k=50)) == 50


def test_an_index_finds_what_a_look_at_every_row_would(tmp_path, monkeypatch):
    """Uneven variances, and queries of which half the dimensions are unknown."""
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 1000)
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(0, 2, (30_000, 16)), rng.lognormal(-0.4, 1.5, (30_000, 1))
    given = Rows(mean, spread * rng.uniform(0.5, 2, mean.shape), "a", np.arange(30_000.0))
    gallery = filled(tmp_path, given)
    gallery.optimize()
    assert gallery.table.list_indices()
    double = given.mean.astype(float), given.variance.astype(float)
    shares = []
    for i in range(12):
        variance = np.where(np.arange(16) < 8 * (i % 2), 20.0, 0.1)
        pose = mean[i : i + 1], variance[None]
        expected, _ = nearest(*double, *pose, 1.5, 0.75, k=20)
        found = {int(one.stamp_s) for one in gallery.search(mean[i], variance, k=20)}
        shares.append(len(found & set(expected[0].tolist())) / 20)
    assert np.mean(shares) >= 0.98
    assert min(shares) >= 0.9


@pytest.mark.parametrize(
    ("k", "expected"),
    [(1, 1000), (20, 1000), (100, 5000), (400, 20_000), (2000, 20_000), (100_000, 500_000)],
)
def test_candidates_are_bounded(k, expected):
    assert candidates_for(k) == expected


def test_thousands_of_answers(tmp_path, query):
    """As an exact search gives them, out of a bounded number of candidates."""
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=(30_000, 16)), rng.lognormal(-1, 1, (30_000, 16))
    given = Rows(mean, variance, "a", np.arange(30_000.0))
    gallery = filled(tmp_path, given)
    double = given.mean.astype(float), given.variance.astype(float)
    asked = query[0][None], query[1][None]
    expected, _ = nearest(*double, *asked, ORIGIN.sigmoid_a, ORIGIN.sigmoid_b, k=3000)
    found = {int(one.stamp_s) for one in gallery.search(*query, k=3000, thumbnails=False)}
    assert len(found & set(expected[0].tolist())) >= 0.98 * 3000


def test_appends_are_tidied_up(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "EVERY", 10)
    gallery = filled(tmp_path, *(rows(2, seed) for seed in range(25)))
    fragments = gallery.table.stats()["fragment_stats"]["num_fragments"]
    assert fragments <= 11
    assert len(gallery) == 50


def test_several_add_and_tidy_up_at_once_while_others_search(tmp_path, query, monkeypatch):
    monkeypatch.setattr(upkeep, "EVERY", 2)
    monkeypatch.setattr(upkeep, "INDEXED_FROM", 60)
    address = filled(tmp_path).address

    def write(seed: int) -> None:
        gallery = Gallery.open(address)
        for part in range(15):
            gallery.add(rows(20, seed, f"{seed} {part}"))

    def read(_: int) -> None:
        gallery = Gallery.open(address, refresh_s=0)
        while not written.is_set():
            assert len(gallery.search(*query, k=5)) in (0, 5)

    written = Event()
    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read, i) for i in range(3)]
        try:
            for writer in [pool.submit(write, i) for i in range(3)]:
                writer.result()
        finally:
            written.set()
        for reader in readers:
            reader.result()
    table = Gallery.open(address).table.to_arrow()
    found = sorted(zip(table["source"].to_pylist(), table["stamp_s"].to_pylist(), strict=True))
    names = sorted(f"{seed} {part}" for seed in range(3) for part in range(15))
    assert found == [(name, i / 10) for name in names for i in range(20)]


def test_another_process_sees_what_is_added(tmp_path, query):
    gallery = filled(tmp_path, rows(5))
    other = Gallery.open(gallery.address, refresh_s=3600)
    assert len(other.search(*query)) == 5
    script = (
        "import sys; from tests.core.gallery_rows import rows; from vipe_core.gallery import "
        "Gallery; Gallery.open(sys.argv[1]).add(rows(7, 1))"
    )
    subprocess.run([sys.executable, "-c", script, gallery.address], check=True, timeout=120)
    assert len(Gallery.open(gallery.address, refresh_s=0).search(*query)) == 12
    other.refresh()
    assert len(other.search(*query)) == 12


def test_an_appender_waits_and_leaves_nothing_behind(tmp_path):
    gallery = Gallery.create(tmp_path / "gallery", ORIGIN)
    given = rows(4)
    given.mean[1] = np.nan
    with Appender(gallery, every_s=3600) as appender:
        assert not appender.add(rows(3))
        assert not appender.add(given)
        assert len(gallery) == 0
    assert (len(gallery), appender.added, appender.left_out) == (6, 6, 1)
    with Appender(gallery, every_s=0) as appender:
        assert appender.add(rows(2))
        assert len(gallery) == 8


def test_an_appender_keeps_what_it_has_when_the_stream_breaks(tmp_path):
    gallery = Gallery.create(tmp_path / "gallery", ORIGIN)

    def stream():
        with Appender(gallery, every_s=3600) as appender:
            appender.add(rows(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream()
    assert len(gallery) == 3


def test_an_appender_tries_nothing_twice(tmp_path):
    gallery = filled(tmp_path, rows(2))
    appender = Appender(gallery, every_s=0)
    tables = Path(gallery.address) / "poses.lance"
    tables.rename(tmp_path / "away")
    tables.write_text("in the way")
    with pytest.raises(VipeError, match=r"index .*gallery: "):
        appender.add(rows(3))
    tables.unlink()
    (tmp_path / "away").rename(tables)
    appender.flush()
    assert (len(Gallery.open(gallery.address)), appender.added) == (2, 0)


def test_made_for_a_model(tmp_path):
    model = runtime.load(make_model(tmp_path / "model.onnx", sigmoid_a=1.25))
    gallery = Gallery.create(tmp_path / "gallery", model)
    assert gallery.fingerprint == model.fingerprint
    assert (gallery.sigmoid_a, gallery.sigmoid_b) == (1.25, 0.75)
    again = Gallery.create(tmp_path / "gallery", model)
    assert again.origin == gallery.origin == Origin.of(model)


def test_an_address_that_is_a_uri(tmp_path, query):
    """The way that object storage takes, as far as a machine without one has it."""
    address = f"file://{tmp_path}/deep/gallery"
    with pytest.raises(VipeError, match="no index of poses at file://"):
        Gallery.open(address)
    gallery = Gallery.create(address, ORIGIN)
    gallery.add(rows(5))
    assert len(Gallery.create(address, ORIGIN).search(*query)) == 5
    with pytest.raises(VipeError, match="is of model test 1"):
        Gallery.open(address, "ffffffffffff")


def test_killed_while_the_table_was_made(tmp_path):
    (tmp_path / "gallery" / "poses.lance" / "_versions").mkdir(parents=True)
    with pytest.raises(VipeError, match="no index of poses at"):
        Gallery.open(tmp_path / "gallery")
    gallery = filled(tmp_path, rows(3))
    assert len(gallery) == 3
