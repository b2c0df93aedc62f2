"""What MkDocs calls while it builds the site: pages that are made, links that are mended."""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import reference  # noqa: E402
import tutorials  # noqa: E402

TOP = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
}
"""Pages at the root of the repository, and what they are in the site."""
_SHOWN = re.compile(r"^\[examples/extension/\S+\n", re.MULTILINE)
"""Links to files whose text the site shows in their place."""
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
_WHOLE = re.compile(r"\[([^\]\[]+)\]\((?!https?:|mailto:)([^)#\s]+)(?:#[^)\s]*)?\)")

_CODE = re.compile(r"<code>([^<]+)</code>")
_CELL = re.compile(r"<td.*?</td>", re.DOTALL)
_LONGEST_WORD = 30  # Characters, which fit a telephone.


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made: tutorials, the reference, and those at the root."""
    from innerloop.runtime.compilation import keep_compiled

    keep_compiled()
    made: dict[str, str | bytes] = {}
    for name, page in TOP.items():
        if name != "README.md":
            made[page] = (ROOT / name).read_text(encoding="utf-8")
    for page, text in reference.pages(reference.source_folder()).items():
        made[f"reference/{page}.md"] = text
    for path in sorted((ROOT / "examples" / "tutorials").glob("*.py")):
        text, pictures = tutorials.page(path, ROOT / "build" / "tutorials")
        made[f"tutorials/{path.stem}.md"] = text
        made |= {f"tutorials/{name}": content for name, content in pictures.items()}
    for address, content in made.items():
        files.append(File.generated(config, address, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to the repository's other files lead to their pages, or become plain text."""
    here = page.file.src_uri

    def mended(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        at_root = here in TOP.values() and here != "index.md"
        place = "." if at_root else posixpath.dirname(f"docs/{here}")
        path = posixpath.normpath(posixpath.join(place, target))
        up = "../" * here.count("/")
        if path in TOP:
            return f"]({up}{TOP[path]}{'' if path == 'README.md' else anchor})"
        if path.startswith("examples/tutorials/"):
            return f"]({up}tutorials/{posixpath.basename(path).removesuffix('.py')}.md{anchor})"
        if path.startswith("examples/extension"):
            return f"]({up}how-to/extend.md)"
        if path.startswith("docs/"):
            if path in ("docs/decisions", "docs/results", "docs/log"):
                path += "/README.md"
            return f"]({up}{path.removeprefix('docs/')}{anchor})"
        return match[0]

    def plain(match: re.Match[str]) -> str:
        """The text alone of a link to a file that is no page."""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(f"docs/{here}"), match[2]))
        outside = path.partition("/")[0] in ("src", "examples", "benchmarks", "tools", "tests")
        return match[1] if outside else match[0]

    if here == "how-to/extend.md":
        markdown = _SHOWN.sub("", markdown)
    return _WHOLE.sub(plain, _LINK.sub(mended, markdown))


def on_page_content(html: str, **_: Any) -> str:
    """Code breaks between its words alone, and in tables a number stays with its interval."""

    def whole(match: re.Match[str]) -> str:
        words = match[1].split(" ")
        if not any("-" in word and len(word) <= _LONGEST_WORD for word in words):
            return match[0]
        whole = [f"<span>{each}</span>" if len(each) <= _LONGEST_WORD else each for each in words]
        return f"<code>{' '.join(whole)}</code>"

    def cell(match: re.Match[str]) -> str:
        text = match[0].replace(" ± ", "\u00a0±\u00a0")
        is_long = any(len(code) > 16 for code in _CODE.findall(text))
        return text.replace("<td", '<td class="long-code"', 1) if is_long else text

    return _CODE.sub(whole, _CELL.sub(cell, html))
