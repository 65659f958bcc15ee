#!/usr/bin/env bash
# Everything a reviewer should not have to say. Runs all checks before it fails.
cd "$(dirname "$0")/.." || exit 2
bin=.venv/bin
failed=0
$bin/ruff check . || failed=1
$bin/ruff format --check --quiet . || { echo "not formatted; run: $bin/ruff format ." && failed=1; }
$bin/python tools/check_imports.py || failed=1
PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $bin/pyright || failed=1
exit $failed
