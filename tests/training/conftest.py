"""A tiny data folder in the true format, so that the trainer is tested without any data set."""

from __future__ import annotations

import pytest

from tests.bodies import write_motion_file

torch = pytest.importorskip("torch", reason="the trainer's extra is not installed")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    (root / "mocap").mkdir()
    write_motion_file(root / "mocap" / "cmu_mocap_train.npz", 300, seed=1, subjects=("a", "b"))
    write_motion_file(root / "mocap" / "cmu_mocap_native.npz", 120, seed=2, subjects=("c", "d"))
    write_motion_file(root / "mocap" / "cmu_mocap_val.npz", 120, seed=3, subjects=("e",))
    write_motion_file(root / "mocap" / "cmu_mocap_test.npz", 120, seed=4, subjects=("f",))
    return root


@pytest.fixture
def data(data_folder, monkeypatch):
    monkeypatch.setenv("VIPE_DATA", str(data_folder))
    return data_folder


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
