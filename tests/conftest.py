"""What every test is kept away from."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_engines_of_this_machine(tmp_path_factory: pytest.TempPathFactory):
    """Whoever runs the tests may have TensorRT and engines; the tests bring their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIPE_ENGINES", str(tmp_path_factory.mktemp("engines")))
        yield


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine cache of one test's own."""
    monkeypatch.setenv("VIPE_ENGINES", str(tmp_path / "engines"))
    return tmp_path / "engines"
