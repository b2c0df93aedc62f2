"""The site: its reference has every public name, its tutorials run, its words are words."""

import functools
import http.server
import importlib
import inspect
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import innerloop
from report.browser import REQUESTS, axe, show, troubles

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / "tools" / "site"
TUTORIALS = sorted((ROOT / "examples" / "tutorials").glob("*.py"))
QUICK = ("optax_rule", "torch_rule")
"""Tutorials that take seconds; the others are slow tests."""
PAGES = (
    "index",
    "faq",
    "how-to/reports",
    "tutorials/optax_rule",
    "tutorials/torch_rule",
    "results/optimizers",
    "reference/rules",
    "results/index",
)
THEMES_OWN = {
    "color-contrast",
    "landmark-unique",
    "empty-table-header",
    "scrollable-region-focusable",
}
"""Rules of axe-core that the theme's search, and bare tables, break; the rest must hold."""
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d[\d,.]*(?![\w-])")


@pytest.fixture(scope="module")
def tools():
    """The modules of tools/site."""
    sys.path.insert(0, str(TOOLS))
    try:
        yield {name: importlib.import_module(name) for name in ("reference", "tutorials")}
    finally:
        sys.path.remove(str(TOOLS))


def test_the_reference_has_every_public_name(tools):
    pages = tools["reference"].pages(ROOT / "src" / "innerloop")
    listed = set(re.findall(r"heading: (\S+)", "".join(pages.values())))
    wanted = {f"innerloop.{name}" for name in innerloop.__all__}
    for name in tools["reference"].PACKAGES:
        try:
            package = importlib.import_module(f"innerloop.{name}")
        except ImportError:  # Of an extra that is not installed.
            continue
        wanted.discard(f"innerloop.{name}")
        # What is imported by a public name, and not the modules below.
        wanted |= {
            f"innerloop.{name}.{each}"
            for each, thing in vars(package).items()
            if not each.startswith("_") and not inspect.ismodule(thing)
        }
    assert wanted - listed - {"innerloop.__version__"} == set()


def test_a_public_name_without_a_page_stops_the_build(tools, tmp_path):
    package = tmp_path / "innerloop"
    for name in tools["reference"].PACKAGES:
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    names = ", ".join(f"{name} as {name}" for name in tools["reference"].PACKAGES)
    stub = f"from . import {names}\nfrom .unknown import thing as thing\n"
    (package / "__init__.pyi").write_text(stub)
    with pytest.raises(KeyError, match="unknown"):
        tools["reference"].pages(package)


def test_a_tutorial_becomes_a_page_with_its_output_and_pictures(tools, tmp_path):
    source = (
        "# %% [markdown]\n# # Title\n# words\n\n# %%\nimport pathlib\nx = 2\nprint('seen')\nx + 1\n"
    )
    source += "# %%\npathlib.Path('a.png').write_bytes(b'picture')\n"
    path = tmp_path / "small.py"
    path.write_text(source)
    text, pictures = tools["tutorials"].page(path, tmp_path / "cache")
    assert text.startswith("# Title\nwords\n") and "seen\n3\n" in text
    assert "![Title: picture 1](a.png)" in text and pictures == {"a.png": b"picture"}
    path.with_name("small.py").write_text(source)
    assert tools["tutorials"].page(path, tmp_path / "cache") == (text, pictures)


def test_a_tutorial_that_cannot_run_says_so(tools, tmp_path, monkeypatch):
    monkeypatch.setitem(tools["tutorials"].OPTIONAL, "nowhere", "Nowhere")
    path = tmp_path / "small.py"
    path.write_text("# %% [markdown]\n# # Title\n# words\n# %%\nimport nowhere\n")
    text, pictures = tools["tutorials"].page(path, tmp_path / "cache")
    assert text.startswith("# Title\n\n!!! warning") and pictures == {}
    assert (
        "Nowhere was not installed" in text
        and "run when" not in text
        and not (tmp_path / "cache").exists()
    )


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
        for path in TUTORIALS
    ],
)
def test_a_tutorial_runs(tools, path, tmp_path):
    if (absent := tools["tutorials"].missing(path)) is not None:
        pytest.skip(f"needs {absent}: make test-extras installs it")
    found = tools["tutorials"].run(path, tmp_path)
    assert found[0].text.startswith("# ") and not found[0].is_code
    assert any(cell.output or cell.pictures for cell in found)


def prose(text):
    """The words of a page: no code, tables, years, numbers of decisions, or links' targets."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\[\d{3}\]|\]\([^)]*\)|^\|.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"\b(19|20)\d\d\b", "", text)


def pages_of_words(tools):
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if path.relative_to(ROOT / "docs").parts[0] not in ("results", "log"):
            yield path.stem, path.read_text()
    for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY"):
        yield name, (ROOT / f"{name}.md").read_text()
    for path in TUTORIALS:
        cells = tools["tutorials"].cells(path.read_text())
        yield path.stem, "\n\n".join(cell.text for cell in cells if not cell.is_code)


def test_no_page_has_more_than_five_numbers_in_a_hundred_words(tools):
    dense = {}
    for name, text in pages_of_words(tools):
        words = prose(text).split()
        numbers = NUMBER.findall(prose(text))
        if len(numbers) > 0.05 * max(100, len(words)):
            dense[name] = (len(numbers), len(words))
    assert dense == {}


@pytest.mark.parametrize("page", ["index.md", "how-to/extend.md"])
def test_the_python_of_a_page_runs(page):
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL):
        if "--8<--" in block:
            assert (ROOT / re.search(r'"(.*)"', block)[1]).is_file()  # Run in tests/extension/.
        else:
            exec(compile(block, page, "exec"), {})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the built site, its tutorials as they stand, without output."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    folder = tmp_path_factory.mktemp("site")
    build = (
        f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import tutorials as t; "
        "t.page = lambda path, cache: (t._markdown(t.cells(path.read_text()), path), {}); "
        "from mkdocs.__main__ import cli; cli()"
    )
    words = [sys.executable, "-c", build, "build", "--quiet", "--site-dir", folder]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(360, True), (1440, False)])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_the_site_is_whole_in_a_browser(browser, site, page, width, dark):
    address = f"{site}/{page}.html"
    # The theme remembers how it was seen first.
    browser.get("about:blank")
    stored = {"origin": site, "storageTypes": "local_storage"}
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", stored)
    show(browser, address, width=width, dark=dark)
    scheme = "return document.body.dataset.mdColorScheme"
    assert browser.execute_script(scheme) == ("slate" if dark else "default")
    assert troubles(browser) == []
    assert [each for each in browser.execute_script(REQUESTS) if not each.startswith(site)] == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert set(axe(browser)) <= THEMES_OWN
