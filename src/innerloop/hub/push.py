"""A rule or a meta-learner, and its card, into a repository or a folder."""

import re
import tempfile
from pathlib import Path
from typing import Any

from ..errors import FileError, InnerloopError, SettingsError
from ..fewshot.files import FILE as LEARNER, load as load_learner, shipped as shipped_learners
from ..rules.files import FILE as RULE, load as load_rule
from ..runtime import hub, storage
from ..runtime.files import read_bytes, read_text, write_output
from ..runtime.folders import inside, writable
from ..runtime.names import fit_text
from ..runtime.weights import LARGEST_FILE
from .card import LIBRARY, card_of

CARD = "README.md"
_KINDS = {RULE: ("rule",), LEARNER: ("meta-learner", "fewshot")}
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


def push(
    path_or_name: str | Path,
    target: str | Path,
    *,
    license: str = "unknown",
    private: bool = False,
    card: bool = True,
) -> str:
    """Put a trained rule or meta-learner, and a model card, where others can load it from.

    The card is made of the file's header: the task, the settings of the run, and how to use the
    rule in JAX and in PyTorch; and of results.json where the run's folder has one. The header goes
    along as it is, with the names of files that it holds.

    Args:
        path_or_name: A file, a training run's folder, or a shipped name.
        target: USER/NAME or hf://USER/NAME for a repository on the Hugging Face Hub, which is
            made if need be; or a folder, as a `Path` or beginning with "./", "../", "/" or "~".
        license: The licence's identifier on the hub, such as "mit" or "apache-2.0".
        private: Make the repository one that only its owner sees. A repository that is there
            stays as it is.
        card: Write README.md too. Without it, one that is there is kept.

    Returns:
        The repository's web address, or the folder.

    Raises:
        InnerloopError: There is no such rule or learner, it is damaged, the target is none or
            cannot be written to, or huggingface_hub is not installed or has no token.

    Example:
        >>> import innerloop, pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = innerloop.push("lstm-quadratic", pathlib.Path(folder), license="mit")
        ...     sorted(path.name for path in pathlib.Path(folder).iterdir())
        ['README.md', 'rule.safetensors']
    """
    if not _LICENSE.fullmatch(license):
        raise SettingsError("license", license, "an identifier such as mit or apache-2.0")
    folder = _folder(target)
    repository = None if folder is not None else _repository(str(target))
    path, file, header = _found(path_or_name)
    files = {file: read_bytes(path, LARGEST_FILE)}
    if card:
        address = file if repository is None else f"hf://{repository}"
        results = inside(path.parent, "results.json") if path.name == file else None
        text = card_of(header, address, license=license, results=results)
        files[CARD] = text.encode()
    if folder is not None:
        return str(_write(files, folder))
    assert repository is not None
    return _upload(files, repository, file, private=private)


def _found(path_or_name: str | Path) -> tuple[Path, str, dict[str, Any]]:
    """(the file, its name in a repository, its header), of a rule or a learner that loads."""
    is_learner = (Path(path_or_name) / LEARNER).is_file()
    is_learner = is_learner or str(path_or_name) in shipped_learners()
    file = LEARNER if is_learner else RULE
    path = storage.find(path_or_name, file, *_KINDS[file])
    header = storage.read(path)[0]
    if "method" in header:
        load_learner(path)
        return path, LEARNER, header
    load_rule(path)
    return path, RULE, header


def _folder(target: str | Path) -> Path | None:
    """The target as a folder, or None where it is a repository."""
    text = str(target)
    if isinstance(target, Path) or text in (".", "..") or text.startswith(("./", "../", "/", "~")):
        return Path(target).expanduser()
    if not hub.is_address(text) and Path(text).is_dir():
        raise InnerloopError(
            f"{fit_text(text)} is a folder here, and could be a repository: write ./{text} or "
            f"hf://{text}.",
            arguments=("target",),
        )
    return None


def _repository(target: str) -> str:
    repository, revision = hub.parse(target)
    if revision is not None:
        raise InnerloopError(
            f"A rule goes to the main branch of {repository}, not to '{revision}'.",
            arguments=("target",),
        )
    return repository


def _write(files: dict[str, bytes], folder: Path) -> Path:
    writable(folder)
    if CARD in files and not _is_ours(inside(folder, CARD)):
        raise FileError(
            f"{folder / CARD} is no card of innerloop's, and is kept: name another folder, or "
            "write no card.",
            arguments=("card",),
        )
    for name, content in files.items():
        write_output(inside(folder, name), content)
    return folder


def _is_ours(card: Path) -> bool:
    """Whether nothing is lost by writing a card here."""
    try:
        return not card.exists() or read_text(card).startswith(f"---\n{LIBRARY}\n")
    except (OSError, ValueError):
        return False


def _upload(files: dict[str, bytes], repository: str, file: str, *, private: bool) -> str:
    api = hub.client()
    if hub.library().get_token() is None:
        raise InnerloopError(
            f"Writing to {repository} needs a token: log in with `hf auth login`, or set HF_TOKEN."
        )
    with tempfile.TemporaryDirectory() as folder, hub.sentences(repository, file):
        _write(files, Path(folder))
        url = api.create_repo(repository, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=f"Push {file} with innerloop"
        )
        return str(url)
