"""Each page written once."""

import pytest


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The files of the pages, by name."""
    from innerloop.report.page import render
    from report.pages import pages

    folder = tmp_path_factory.mktemp("pages")
    for name, page in pages().items():
        (folder / f"{name}.html").write_text(render(page), encoding="utf-8")
    return {path.stem: path for path in folder.iterdir()}
