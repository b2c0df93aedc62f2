"""What is installed is whole: rules, data, licences and types are in the wheel."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from innerloop.fewshot import files as fewshot
from innerloop.rules.files import shipped
from innerloop.runtime import storage


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    root, folder = Path(__file__).parent.parent, tmp_path_factory.mktemp("wheel")
    # A copy, since what was built before would be built in again.
    source = folder / "source"
    shutil.copytree(root / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode and "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("building a wheel needs setuptools, which cannot be fetched here")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_a_wheel_has_the_shipped_rules_the_data_and_their_licences(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    wanted = {f"shipped/{name}.safetensors" for name in shipped()}
    wanted |= {f"shipped/fewshot/{name}.safetensors" for name in fewshot.shipped()}
    wanted |= {f"shipped/embeddings/{name}.safetensors" for name in storage.shipped("embeddings")}
    wanted |= {"shipped/README.md"}
    wanted |= {"py.typed", "__init__.pyi"}
    wanted |= {f"datasets/packed/omniglot.{end}" for end in ("xz", "json", "LICENSE")}
    assert not {f"innerloop/{name}" for name in wanted} - names
    licences = {name.rpartition("licenses/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "src/innerloop/datasets/packed/omniglot.LICENSE"}


def test_a_source_distribution_has_the_docs_the_tests_and_the_constraints(root, tmp_path):
    tracked = subprocess.run(
        ["git", "-C", root, "ls-files"], capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("this is no repository")
    for name in tracked:
        if (root / name).is_file():  # A link, or a file that is removed and not committed yet.
            (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, tmp_path / "source" / name)
    fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--target", tmp_path / "backend"]
    if subprocess.run([*fetch, "setuptools>=77"], capture_output=True).returncode:
        pytest.skip("building needs setuptools, which cannot be fetched here")
    build = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    subprocess.run(
        [sys.executable, "-c", build],
        cwd=tmp_path / "source",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "backend")},
        check=True,
        capture_output=True,
    )
    (path,) = (tmp_path / "source" / "dist").glob("*.tar.gz")
    with tarfile.open(path) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    wanted = ("docs/", "tests/", "examples/", "src/", "constraints.txt", "Makefile", "README.md")
    missing = [name for name in tracked if name.startswith(wanted) and name not in names]
    assert not missing


@pytest.mark.slow
def test_a_wheel_is_installed_into_an_empty_environment_and_works(wheel, root, tmp_path):
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    constraints = ["-c", root / "constraints.txt"]
    install = [python, "-m", "pip", "install", "--quiet", *constraints, wheel]
    subprocess.run(install, check=True)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def run(*words):
        command = [python.with_name("innerloop"), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
        )
        return done.stdout

    assert "lstm-quadratic" in run("list")
    printed = run("fewshot", "evaluate", "protonet-omniglot-5w-1s", "--episodes", "20")
    assert "%" in printed
    few = ("--baselines", "sgd", "muon-cosine")
    printed = run("compare", "lstm-quadratic", "--task", "quadratic", "--problems", "8", *few)
    assert "best baseline" in printed
