"""The ``vipe`` command itself: help, verbs, exit statuses."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from tests.cli import TIMEOUT, VIPE, error_line, vipe
from vipe_core import __version__, cli
from vipe_core.errors import VipeError

CORE_VERBS = ("embed", "lift", "search", "doctor", "fetch")


def test_help_names_every_verb_without_loading_any():
    code = (
        "import sys\nfrom vipe_core import cli\ncli.main(['--help'])\n"
        "print(sorted({'torch', 'numpy', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    verbs = [entry.name for entry in entry_points(group=cli.GROUP)]
    assert set(CORE_VERBS) <= set(verbs)
    for verb in verbs:
        (line,) = (li for li in done.stdout.splitlines() if li.split()[:1] == [verb])
        assert len(line.split()) > 2, line
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", CORE_VERBS)
def test_every_verb_has_help_with_an_example(verb):
    done = vipe(verb, "--help")
    assert done.returncode == 0
    assert f"example: vipe {verb}" in done.stdout
    assert done.stderr == ""


def test_version():
    assert vipe("--version").stdout == f"vipe {__version__}\n"


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "vipe_core.cli", "--version"], capture_output=True, text=True
    )
    assert done.stdout == f"vipe {__version__}\n"


def test_no_verb():
    done = vipe()
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: vipe VERB")


def test_unknown_verb():
    line = error_line("dance")
    assert "unknown verb 'dance'; known: " in line
    assert "doctor, embed" in line


@pytest.mark.parametrize(
    "args", [("embed",), ("embed", "a", "b", "c"), ("embed", "a", "b", "--speed"), ("search", "a")]
)
def test_wrong_arguments(args):
    line = error_line(*args)
    assert line.startswith(f"vipe {args[0]}: ")
    assert line.endswith(f"(see vipe {args[0]} --help)")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("args", ["--help", "doctor --help", "--version"])
def test_a_closed_pipe_is_no_error(args, unbuffered):
    # The reader is gone before vipe has anything to say.
    command = f"'{VIPE}' {args} | exec 0<&-; echo $PIPESTATUS"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> EntryPoint:
    """A verb of a made-up module whose ``run`` has this body."""
    (tmp_path / "made_up_verb.py").write_text(f"def run(argv):\n    '''Do it.'''\n    {body}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "made_up_verb", raising=False)
    return EntryPoint("made", "made_up_verb:run", cli.GROUP)


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("raise KeyboardInterrupt", 130, "vipe made: interrupted"),
        ("open('/no/such/file')", 2, "vipe made: /no/such/file: No such file or directory"),
        ("raise OSError('odd')", 2, "vipe made: odd"),
        (
            "raise ModuleNotFoundError(name='torch.nn')",
            2,
            "vipe made: needs torch: pip install -e '.[train]'",
        ),
        (
            "raise ModuleNotFoundError(name='cv2')",
            2,
            "vipe made: needs cv2: pip install -e '.[detector]'",
        ),
    ],
)
def test_statuses(tmp_path, monkeypatch, capsys, body, status, line):
    assert cli._call(verb(tmp_path, monkeypatch, body), []) == status
    assert capsys.readouterr().err == (line and line + "\n")


def test_an_error_of_several_lines_becomes_one(tmp_path, monkeypatch, capsys):
    body = "from vipe_core.errors import VipeError; raise VipeError('one\\n  two')"
    assert cli._call(verb(tmp_path, monkeypatch, body), []) == 2
    assert capsys.readouterr().err == "vipe made: one two\n"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise ValueError('bug')", ValueError),
        ("import no_such_module_of_ours", ModuleNotFoundError),
    ],
)
def test_a_bug_keeps_its_traceback(tmp_path, monkeypatch, body, kind):
    with pytest.raises(kind):
        cli._call(verb(tmp_path, monkeypatch, body), [])


def test_a_verb_that_is_declared_but_not_installed(capsys):
    absent = EntryPoint("train", "no_such_package.cli.train:run", cli.GROUP)
    assert cli._call(absent, []) == 2
    assert "no_such_package.cli.train is not part of this installation" in capsys.readouterr().err
    assert cli._summary(absent) == "(not installed)"


def test_summary_is_the_first_line_of_the_docstring(tmp_path, monkeypatch):
    assert cli._summary(verb(tmp_path, monkeypatch, "return 0")) == "Do it."
    assert "made_up_verb" not in sys.modules


def test_vipe_error_is_what_bad_input_raises():
    assert issubclass(VipeError, ValueError)


def test_ctrl_c_ends_with_130():
    """A real SIGINT to a real process, once it is at work: it waits on a terminal's far end."""
    code = (
        # A shell starts its background jobs, and so these tests, with SIGINT ignored.
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import os, sys\nfrom importlib.metadata import EntryPoint\nfrom vipe_core import cli\n"
        "sys.exit(cli._call(EntryPoint('wait', 'wait_verb:run', cli.GROUP), []))"
    )
    main, far = pty.openpty()
    body = "def run(argv):\n    import sys\n    print('ready', flush=True)\n    sys.stdin.read()\n"
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys, types\nm = types.ModuleType('wait_verb')\n"
            f"exec({body!r}, m.__dict__)\nsys.modules['wait_verb'] = m\n{code}",
        ],
        stdin=far,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIMEOUT)
    os.close(main)
    os.close(far)
    assert (process.returncode, said) == (130, "vipe wait: interrupted\n")
