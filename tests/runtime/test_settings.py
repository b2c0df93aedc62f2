"""Settings: what is refused, and that a file gives back what was written."""

import dataclasses
from typing import Annotated, Literal

import numpy as np
import pytest

from innerloop.errors import FileError, InnerloopError, SettingsError, UnknownNameError
from innerloop.runtime.settings import (
    Range,
    arguments_of,
    check,
    from_dict,
    from_toml,
    parameters,
    read_arguments,
    to_dict,
    to_toml,
)

Value = object  # What a user gives: the dataclasses check it themselves.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    rate: Annotated[float, Range(above=0, at_most=1)] = 0.5

    def __post_init__(self):
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    count: Annotated[int, Range(at_least=1)] = 3
    kind: Literal["one", "two"] = "one"
    maybe: Annotated[int, Range(at_least=1)] | None = None
    clip: float | None = 1.0
    flag: bool = False
    widths: tuple[int, ...] = (20,)
    names: dict[str, Value] = dataclasses.field(default_factory=dict)
    inner: Inner = dataclasses.field(default_factory=Inner)

    def __post_init__(self):
        check(self)


def unchecked(**given):
    """Past `__init__`, whose types the tests check, but not where there is no import hook."""
    settings = object.__new__(Outer)
    for name, value in {**vars(Outer()), **given}.items():
        object.__setattr__(settings, name, value)
    settings.__post_init__()
    return settings


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("count", 0, "a whole number of at least 1"),
        ("count", "3", "a whole number of at least 1"),
        ("count", 3.0, "a whole number of at least 1"),
        ("count", True, "a whole number of at least 1"),
        ("kind", "three", "one or two"),
        ("maybe", 0, "a whole number of at least 1 or None"),
        ("clip", "x", "a number or None"),
        ("clip", float("nan"), "a number or None"),
        ("flag", 1, "True or False"),
        ("widths", ("a",), "a sequence of: a whole number"),
    ],
)
def test_a_value_that_is_not_accepted_is_named(name, value, accepted):
    with pytest.raises(SettingsError) as raised:
        unchecked(**{name: value})
    error = raised.value
    assert (error.argument, error.accepted) == (name, accepted) and error.value is value
    assert str(error) == f"{name} is {value!r}; it must be {accepted}."


def test_numbers_of_numpy_are_settings_like_others():
    settings = unchecked(count=np.int64(7), clip=np.float32(0.5), flag=np.False_)
    assert to_dict(settings)["count"] == 7 and type(settings.count) is int
    with pytest.raises(SettingsError, match="count is -7"):
        unchecked(count=np.int64(-7))


@pytest.mark.parametrize(
    "settings",
    [
        Outer(),
        Outer(count=5, kind="two", maybe=2, clip=None, flag=True, widths=(), inner=Inner(rate=1.0)),
        Outer(names={"preprocessing": None, "hidden": [1, 2], "text": "ü"}),
    ],
)
def test_a_file_gives_back_what_was_written(settings, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(to_toml(settings), encoding="utf-8")
    again = from_toml(Outer, path)
    names = {name: None if each == "none" else each for name, each in again.names.items()}
    assert dataclasses.replace(again, names=names) == settings
    assert from_dict(Outer, to_dict(settings)) == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("count = ", "no TOML file"),
        ("counts = 3", "no setting 'counts'. Did you mean 'count'"),
        ("[inner]\nrate = 2", "inner.rate is 2.0; it must be a number above 0 and at most 1"),
        ("inner = 3", "inner is 3; it must be Inner"),
        ("a = " + "[" * 5000, "no TOML file"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(text, words, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(FileError) as raised:
        from_toml(Outer, path)
    assert "run.toml" in str(raised.value) and words in str(raised.value)
    with pytest.raises(FileError, match="cannot be read"):
        from_toml(Outer, tmp_path / "none.toml")


class Made:
    def __init__(
        self,
        array: np.ndarray | None = None,
        *,
        key: int,
        hidden: int = 20,
        scale: float | None = 1.0,
    ):
        self.hidden, self.scale = hidden, scale


def test_a_class_says_what_it_can_be_told():
    assert set(parameters(Made)) == {"hidden", "scale"}
    assert read_arguments(Made, {"hidden": 3, "scale": "none"}) == {"hidden": 3, "scale": None}
    assert arguments_of(Made(key=0, hidden=3)) == {"hidden": 3, "scale": 1.0}
    with pytest.raises(UnknownNameError, match=r"no setting 'rule.hiden'. Did you mean 'hidden'"):
        read_arguments(Made, {"hiden": 3}, within="rule.")
    with pytest.raises(SettingsError, match=r"rule\.hidden is 'x'"):
        read_arguments(Made, {"hidden": "x"}, within="rule.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Inner:
    name: str
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Outer:
    inner: _Inner
    kept: list[int] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "inner is None; it must be"), ("[inner]\nseed = 1", "inner.name is None; it must be")],
)
def test_a_setting_without_a_default_that_is_left_out_is_named(tmp_path, text, words):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InnerloopError, match=words):
        from_toml(_Outer, tmp_path / "run.toml")
