"""Objects of a file that the user named: the one place that imports such a file."""

import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any

from .errors import FileError

_LIBRARIES = (__name__.partition(".")[0], "abc", "builtins", "equinox", "typing")


def load_file_object(spec: str, *kinds: str) -> Any:
    """The object NAME of path/to/file.py:NAME, which is imported.

    The file's folder comes first on the path, as in `python file.py`.

    Args:
        spec: path/to/file.py:NAME.
        kinds: What the object may be: a class of one of these kinds of the registry, or an
            instance of one.

    Raises:
        FileError: The file is not there, cannot be imported, or has no such object of the kinds.
    """
    text, _, name = spec.rpartition(":")
    if spec.endswith(".py"):
        raise FileError(f"'{spec}' names no object in the file; write {spec}:NAME.")
    path = Path(text)
    if not path.is_file():
        raise FileError(f"There is no file {path}.")
    module = _imported(path)
    fitting = [
        key
        for key, value in vars(module).items()
        if getattr(value, "registry_kind", None) in kinds and _is_own(value, module)
    ]
    if name in fitting or getattr(getattr(module, name, None), "registry_kind", None) in kinds:
        return getattr(module, name)
    what = " or ".join(kinds)
    there = f"there are: {', '.join(fitting)}" if fitting else "there are none"
    if hasattr(module, name):
        raise FileError(f"'{name}' in {path} is no {what}; {there}.")
    raise FileError(f"{path} has no {what} '{name}'; {there}.")


def place_of(error: BaseException, owner: type) -> str:
    """Where an error arose in the file that defines a class of the user's own.

    Args:
        error: An error that was caught.
        owner: The class. Those of innerloop have no file of the user's.

    Returns:
        " (mine.py, line 9)", of the last line of the file on the way to the error; or nothing.
    """
    own = [base for base in owner.__mro__ if base.__module__.partition(".")[0] not in _LIBRARIES]
    files = {getattr(sys.modules.get(base.__module__), "__file__", None) for base in own}
    paths = {Path(file).absolute() for file in files if file}
    on_the_way = traceback.extract_tb(error.__traceback__)
    found = [frame for frame in on_the_way if Path(frame.filename).absolute() in paths]
    return f" ({Path(found[-1].filename).name}, line {found[-1].lineno})" if found else ""


def _imported(path: Path) -> Any:
    found = importlib.util.spec_from_file_location(f"innerloop_user_{path.stem}", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise FileError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _is_own(value: Any, module: Any) -> bool:
    cls = value if inspect.isclass(value) else type(value)
    return cls.__module__ == module.__name__
