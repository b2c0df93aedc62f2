"""The Hugging Face Hub: addresses, downloads, and what goes wrong, in sentences.

An address is hf://USER/NAME, or hf://USER/NAME@REVISION for a branch, a tag or a commit. What is
downloaded is a file like any other: whoever reads it checks it.
"""

import contextlib
import importlib
import importlib.metadata
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import FileError, InnerloopError
from .names import fit_text

_WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_REPOSITORY = re.compile(f"{_WORD}/{_WORD}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
_LONGEST = 96
_SCHEME = re.compile(r"hf:/{1,2}")
"""With one slash too: that is what `Path` makes of an address."""


class Address(NamedTuple):
    """A repository of models."""

    repository: str
    """USER/NAME."""
    revision: str | None = None
    """A branch, a tag or a commit; None for the newest."""


def is_address(text: str | Path) -> bool:
    """Whether something names a repository, and no file."""
    return _SCHEME.match(str(text)) is not None


def parse(text: str | Path) -> Address:
    """The parts of hf://USER/NAME, with or without @REVISION and hf://.

    Raises:
        InnerloopError: It is no such address.
    """
    repository, at, revision = _SCHEME.sub("", str(text), count=1).partition("@")
    # The library makes paths of them: nothing may lead to another folder.
    fits = is_repository(repository) and (
        not at or (_REVISION.fullmatch(revision) and not re.search(r"\.\.|//|/$", revision))
    )
    if not fits or len(revision) > _LONGEST:
        raise InnerloopError(
            f"'{fit_text(text, 2 * _LONGEST)}' is no repository on the hub; write hf://USER/NAME "
            "or hf://USER/NAME@REVISION, in letters, digits, '-', '_' and '.'."
        )
    return Address(repository, revision or None)


def is_repository(text: str) -> bool:
    """Whether a text has the form USER/NAME."""
    return (
        len(text) <= _LONGEST
        and _REPOSITORY.fullmatch(text) is not None
        and not re.search(r"--|\.\.", text)
        and not text.endswith(".git")
    )


def library() -> Any:
    """The module huggingface_hub. Raises `InnerloopError` where it is not installed."""
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise InnerloopError(
            "The Hugging Face Hub needs the package huggingface_hub: pip install 'innerloop[hub]'."
        ) from error


def client() -> Any:
    """The library's client, which honours HF_ENDPOINT, HF_TOKEN and HF_HOME."""
    version = importlib.metadata.version("innerloop")
    return library().HfApi(library_name="innerloop", library_version=version)


def download(address: str | Path, file: str, largest: int) -> Path:
    """A file of a repository, in the library's cache; it is not downloaded twice.

    Args:
        address: hf://USER/NAME or hf://USER/NAME@REVISION.
        file: The file's name in the repository.
        largest: The number of bytes that it may have.

    Returns:
        The file's path.

    Raises:
        InnerloopError: The address is none, the repository or the file is not there or is too
            large, the hub cannot be reached, or huggingface_hub is not installed.
    """
    repository, revision = parse(address)
    hub = client()
    asked = {"repo_id": repository, "filename": file, "revision": revision}
    with sentences(repository, file):
        size = hub.hf_hub_download(**asked, dry_run=True).file_size
        if size is not None and size > largest:
            raise FileError(f"{file} of {repository} is larger than {largest} bytes.")
        return Path(hub.hf_hub_download(**asked))


@contextlib.contextmanager
def sentences(repository: str, file: str) -> Generator[None]:
    """While entered, the library's errors become `InnerloopError`.

    Args:
        repository: The repository that is asked for, USER/NAME.
        file: The file that is read from it or written to it.
    """
    errors = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except InnerloopError:
        raise
    # ValueError: the library's own checks of names and of a card. HTTPError: its client's.
    except (OSError, ValueError, errors.HTTPError, errors.EntryNotFoundError) as error:
        raise InnerloopError(_sentence(error, errors, repository, file)) from error


def _sentence(error: Exception, errors: Any, repository: str, file: str) -> str:
    place = importlib.import_module("huggingface_hub.constants").ENDPOINT
    token = "log in with `hf auth login`, or set HF_TOKEN"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is open to those alone whom its owner admits: ask at {place}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{place} has no repository {repository}, or it is private: check the name, or {token}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no such branch, tag or commit."
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{repository} has no {file}: `innerloop push` puts it there."
    if status in (401, 403):
        return f"{place} does not allow this in {repository}: {token}."
    if status is not None:
        return f"{place} answers {status} for {repository}; try again later."
    if isinstance(error, ValueError):
        return f"The hub takes no such thing for {repository}: {fit_text(error, 200)}"
    if isinstance(error, (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError)):
        return (
            f"{place} cannot be reached, and {file} of {repository} is not in the cache: check "
            "the network, HF_ENDPOINT and HF_HUB_OFFLINE."
        )
    return f"{file} of {repository} cannot be stored: {fit_text(error, 200)}."
