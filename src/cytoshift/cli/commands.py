"""How the command line lists its verbs and options, and how it names settings: groups, panels, flags."""

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..core.errors import UserError
from ..core.text import make_printable
from .console import FLAGS, messages, name_flags

# What the command line is told wrongly: the class is the same in every version of typer, its module is not.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]


def panel_sections(records: Iterable[tuple[str, tuple[str, str]]], formatter: Any) -> None:
    """Sections of a help text, in the order in which their titles come up; a record is (title, (name, words))."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for title, record in records:
        sections.setdefault(title, []).append(record)
    for title, rows in sections.items():
        with formatter.section(title):
            formatter.write_dl(rows)


class Verb(TyperCommand):
    """A command whose help shows options by panel, those without one first."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        # An empty path would be the folder that the user is in.
        if any(not word or (word.startswith("--") and word.endswith("=")) for word in args):
            raise UserError(
                "an argument is empty, as where a variable of the shell is not set; give it a value, or leave it out"
            )
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        titled = []
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                kind = "Arguments" if param.param_type_name == "argument" else "Options"
                titled.append((getattr(param, "rich_help_panel", None) or kind, record))
        first = ("Arguments", "Options")
        panel_sections(
            sorted(titled, key=lambda one: first.index(one[0]) if one[0] in first else len(first)), formatter
        )


class Verbs(TyperGroup):
    """All verbs: listed in groups, with the settings in errors named as flags."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        width = formatter.width - 6 - max(len(name) for name, _ in verbs)
        panel_sections(
            ((getattr(verb, "rich_help_panel", None) or "Verbs", (name, verb.get_short_help_str(width)))
             for name, verb in verbs if verb is not None and not verb.hidden),
            formatter,
        )  # fmt: skip

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        found = super().resolve_command(ctx, args)
        if (verb := found[1]) is not None:
            options = [param for param in verb.params if param.param_type_name == "option"]
            FLAGS.set({str(param.name): param.opts[0] for param in options})
        return found

    def make_context(self, *args: Any, **more: Any) -> Any:
        try:
            return super().make_context(*args, **more)
        except USAGE_ERROR as error:
            raise make_error_printable(error) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            with messages():
                return super().invoke(ctx)
        except USAGE_ERROR as error:
            raise make_error_printable(error) from None
        except UserError as error:
            error.args = (name_flags(str(error)),)
            raise


def make_error_printable(error: Exception) -> Exception:
    """An error of the command line that commands no terminal, whatever words stand in it."""
    error.message = make_printable(error.message)  # type: ignore[attr-defined]
    return error
