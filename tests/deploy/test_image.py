"""The image, as far as it can be tried without Docker: what it takes from the clone is there, and is enough."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.files import ROOT, copied, dockerfile, last, of_image

PLAY = "import sys, inviteledger; sys.argv[0] = 'inviteledger'; sys.exit(inviteledger.main())"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile copies, installed as it says, beside nothing else of the clone."""
    context, target = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("installed")
    for source, place in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, context / place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, context / place)
    install = ["-m", "pip", "install", "--no-build-isolation", "--no-deps", "--quiet", "--target", str(target), "."]
    subprocess.run([sys.executable, *install], cwd=context, check=True, capture_output=True)
    return target


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_builder():
    sources = [source for source, _ in copied()]
    assert all((ROOT / source).exists() for source in sources)
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules == ["*", *(f"!{source}" for source in sources), "**/__pycache__"]


@pytest.mark.parametrize("word", ["run", "healthcheck", "vault"])
def test_what_is_copied_is_enough_for_each_command(installed: Path, word: str, tmp_path: Path):
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", PLAY, word, "--help"]
    told = subprocess.run(command, cwd=tmp_path, env=environ, check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert f"inviteledger {word}" in told.stdout


def test_modules_come_from_what_was_copied(installed: Path, tmp_path: Path):
    names = [
        source.removesuffix(".py") for source, _ in copied() if source.endswith(".py") or (ROOT / source).is_dir()
    ]
    script = f"import {', '.join(names)}; print(*({', '.join(f'{name}.__file__' for name in names)},), sep='\\n')"
    environ = {"PYTHONPATH": str(installed), "PYTHONWARNINGS": "ignore"}
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environ, check=True, capture_output=True)
    assert all(Path(line).is_relative_to(installed) for line in told.stdout.decode().splitlines())


def test_the_image_installs_what_make_installs_and_asks_no_index_of_its_own():
    makefile, runs = (ROOT / "Makefile").read_text(), [each.rest for each in dockerfile() if each.name == "RUN"]
    for words in ("install --require-hashes -r requirements.lock", "install --no-build-isolation --no-deps"):
        assert words in makefile
        assert any(words in run for run in runs)
    assert "index" not in (ROOT / "Dockerfile").read_text()


def test_the_image_runs_the_bot_without_root_and_asks_whether_it_is_ready():
    assert last("CMD").command() == ["inviteledger", "run"]
    assert last("HEALTHCHECK").command() == ["inviteledger", "healthcheck"]
    assert last("STOPSIGNAL").rest == "SIGTERM"
    assert last("USER").rest == "inviteledger"
    assert of_image()["LEDGER_DATA"] == "/data"
    assert not any(each.name == "VOLUME" for each in dockerfile())
