"""Settings: frozen, checked, and refused where a key is unknown."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_serializer, model_validator

from .errors import UserError

S = TypeVar("S", bound="Settings")
log = logging.getLogger("cytoshift")


class Settings(BaseModel):
    """Base of every group of settings. Unknown keys are errors, values do not change.

    A group lists the earlier names of its settings in `renamed`, the old name before the new one. An old name works for
    one version, and a warning says the new one. Where a file or an override sets both, the later one counts, as it does
    where YAML sets one name twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    renamed: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def accept_old_names(cls, data: Any) -> Any:
        """The same settings under their new names."""
        groups = [vars(group).get("renamed", {}) for group in reversed(cls.__mro__)]
        names = {old: new for group in groups for old, new in group.items()}
        if not isinstance(data, dict) or names.keys().isdisjoint(data):
            return data
        for old, new in names.items():
            if old in data:
                log.warning(f"the setting '{old}' is called '{new}' now; the old name works until the next version")
        return {names.get(key, key): value for key, value in data.items()}


class LaterSettings(Settings):
    """Settings that came later, in `later`, are not written where they say nothing: what was done with the settings of
    before stays done."""

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def as_before(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        default = {name: type(self).model_fields[name].default for name in self.later}
        return {name: value for name, value in plain(self).items() if name not in default or value != default[name]}


def error_location(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where an error lies, as a settings file says it: branches of a union that it does not name are in brackets."""
    return tuple(part for part in loc if not str(part).startswith("("))


def parse(kind: type[S], data: Any, where: str = "settings") -> S:
    """Checked settings, or one sentence that names the key, what stood there and what fits."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        loc = error_location(first["loc"])
        key = shorten(".".join(map(str, loc))) or "the whole"
        if first["type"] == "extra_forbidden":
            known = ", ".join(fields_at(kind, loc[:-1]))
            raise UserError(f"{where}: '{key}' is not a setting; there are {known}") from None
        if first["type"] == "missing":
            raise UserError(f"{where}: '{key}' is missing; set {key}=...") from None
        if first["type"] == "union_tag_not_found":
            raise UserError(f"{where}: '{key}' does not say its kind; set {key}.kind=...") from None
        message = " ".join(first["msg"].removeprefix("Value error, ").split())
        got = "" if isinstance(first["input"], dict) else f" = {shorten(repr(first['input']))}"
        raise UserError(f"{where}: {key}{got}: {message[0].lower() + message[1:]}") from None


def shorten(text: str) -> str:
    """On one line, and no longer than a sentence can bear."""
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def fields_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the settings in the group that `path` leads to, through lists and unions of groups."""
    here = [kind]
    for part in (str(p) for p in path if not isinstance(p, int)):
        inside = [g for h in here if part in h.model_fields for g in setting_groups(h.model_fields[part].annotation)]
        chosen = [g for g in here if part in branch_names(g)]  # of a union, the path names the branch
        here = inside or chosen or here
    return sorted({name for group in here for name in group.model_fields})


def setting_groups(annotation: Any) -> list[type[BaseModel]]:
    """The groups of settings that a field's type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [group for part in get_args(annotation) for group in setting_groups(part)]


def branch_names(group: type[BaseModel]) -> set[str]:
    """What a branch of a union may be called: its name, a key of its own, or the value of its literal `kind`."""
    kind = group.model_fields.get("kind")
    return {group.__name__.lower(), *group.model_fields, *(get_args(kind.annotation) if kind else ())}


def read_yaml(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """A YAML mapping from a file, with `group.key=value` laid over it (values are YAML too)."""
    try:
        data = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"settings file {path} does not exist; write one with 'cytoshift new'") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = "" if line is None else f" at line {line + 1}"
        raise UserError(f"{path} is not valid YAML{at}; compare it with one written by 'cytoshift new'") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} does not hold settings; compare it with one written by 'cytoshift new'")
    return lay_over(data, overrides or [])


def lay_over(data: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Settings with `group.key=value` laid over them, in place. Raises UserError where one is not of this form.

    >>> lay_over({"train": {"steps": 5}}, ["train.steps=500", "train.betas=[0.5,0.99]"])
    {'train': {'steps': 500, 'betas': [0.5, 0.99]}}
    """
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"'{override}' is not key=value; write for example train.steps=500")
        *groups, last = key.split(".")
        target = data
        for group in groups:
            target = target.setdefault(group, {})
            if not isinstance(target, dict):
                raise UserError(f"'{key}': '{group}' is a value, not a group of settings")
        try:
            target[last] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"the value of '{override}' cannot be read; write for example train.steps=500") from None
    return data
