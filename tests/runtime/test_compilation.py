"""What is compiled is kept, where it may be, and not for ever."""

import os
import subprocess
import sys

import jax
import pytest

from innerloop.runtime import compilation as compiled
from innerloop.runtime.files import cache_folder

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
    "jax_enable_compilation_cache",
)


@pytest.fixture(autouse=True)
def settings():
    """JAX's own, as if nobody had set them; put back afterwards."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_folder_tells_machines_and_versions_apart(tmp_path):
    compiled.keep_compiled(tmp_path)
    (kind,) = tmp_path.iterdir()
    assert jax.config.jax_compilation_cache_dir == str(kind)
    assert "jaxlib-" in kind.name


def test_jaxs_own_settings_come_first(tmp_path):
    jax.config.update("jax_compilation_cache_dir", "theirs")
    compiled.keep_compiled(tmp_path)
    assert jax.config.jax_compilation_cache_dir == "theirs"
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_enable_compilation_cache", False)
    compiled.keep_compiled(tmp_path)
    assert jax.config.jax_compilation_cache_dir is None and not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").touch()
    compiled.keep_compiled(tmp_path / "file")
    assert jax.config.jax_compilation_cache_dir is None


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
@pytest.mark.parametrize("below", [False, True])
def test_nothing_is_kept_where_others_can_write(tmp_path, mode, below):
    compiled.keep_compiled(tmp_path / "cache")
    (kind,) = (tmp_path / "cache").iterdir()
    (kind if below else kind.parent).chmod(mode)
    jax.config.update("jax_compilation_cache_dir", None)
    compiled.keep_compiled(tmp_path / "cache")
    assert jax.config.jax_compilation_cache_dir is None


def test_nothing_of_another_user_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    compiled.keep_compiled(tmp_path)
    assert jax.config.jax_compilation_cache_dir is None


def test_a_user_without_a_home_has_a_cache_for_this_process(monkeypatch):
    def fail(*_):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("pooch.os_cache", fail)
    folder = cache_folder()
    assert folder == cache_folder() and folder.is_dir() and folder.stat().st_mode & 0o077 == 0


def test_the_oldest_programs_go_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "_MOST", 25)
    for age, name in enumerate(["newest", "older", "oldest"]):
        (tmp_path / "kind").mkdir(exist_ok=True)
        (tmp_path / "kind" / name).write_bytes(b"0123456789")
        os.utime(tmp_path / "kind" / name, (1000 - age, 1000 - age))
    compiled.keep_compiled(tmp_path)
    assert {path.name for path in (tmp_path / "kind").iterdir()} == {"newest", "older"}


def test_a_second_run_compiles_nothing(tmp_path):
    program = (
        "from innerloop.cli._common import prepare; prepare(1); import jax;"
        "jax.monitoring.register_event_listener(lambda event, **_: print(event));"
        "jax.jit(lambda x: x * 3 + 1)(2.0)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    events = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, check=True, capture_output=True
        ).stdout.decode()
        for _ in range(2)
    ]
    if "cache_misses" not in events[0]:
        pytest.skip("programs are not kept on this system")
    assert "cache_hits" in events[1] and "cache_misses" not in events[1]


def test_quick_compilation_is_asked_for_once_and_undone_for_what_is_timed(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")
    assert compiled.full_compilation() == {}
    compiled.compile_quickly()
    compiled.compile_quickly()
    flags = os.environ["XLA_FLAGS"].split()
    assert flags == ["--xla_cpu_max_isa=AVX2", "--xla_backend_optimization_level=1"]
    options = compiled.full_compilation()
    assert jax.jit(lambda x: 2 * x, compiler_options=options)(1.0) == 2


def test_the_users_own_level_comes_first(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=2")
    compiled.compile_quickly()
    assert os.environ["XLA_FLAGS"] == "--xla_backend_optimization_level=2"
    assert compiled.full_compilation() == {}


def test_programs_are_let_go_where_a_process_can_map_little_more(monkeypatch):
    cleared = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(True))
    compiled.clear_programs_near_limit()
    assert not cleared
    compiled.clear_programs_near_limit(most=3)
    assert cleared == [True] or not compiled._MAPS.exists()
    monkeypatch.setattr(compiled, "_MAPS", compiled._MAPS / "none")
    compiled.clear_programs_near_limit(most=3)
    assert len(cleared) <= 1
