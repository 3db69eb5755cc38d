"""Files that cannot be read: all of them named at once, or left out where that is asked for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import UserError
from ..core.provenance import SayOnce

LISTED = 20  # files or images that a sentence names


class BadFiles:
    """Files that cannot be read, of so many, each with its error."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.errors: dict[Path, UserError] = {}

    @contextmanager
    def collect(self, path: Path) -> Iterator[None]:
        """Keep the error of a file, and go on with the next."""
        try:
            yield
        except UserError as error:
            self.errors.setdefault(path, error)

    def refuse(self, skip: bool, others: bool) -> None:
        """Raises UserError that names all of them, each with its reason. skip: says so and goes on with the others."""
        errors = list(self.errors.values())
        if not errors:
            return
        if skip and others:
            for error in errors:
                SayOnce.say(f"left out: {error}")
            return
        if len(errors) == 1:
            raise errors[0]
        if len(errors) == self.count:
            raise UserError(f"{errors[0]} ({len(errors) - 1} other files cannot be read either)") from errors[0]
        lines = [f"\n  {error}" for error in errors[:LISTED]]
        more = f"\n  and {len(errors) - LISTED} more" if len(errors) > LISTED else ""
        raise UserError(
            f"{len(errors)} of {self.count} files cannot be read; see to them, or pass `skip_bad` to go on without "
            f"them:{''.join(lines)}{more}"
        )


def list_names(names: Sequence[str]) -> str:
    """At most LISTED names, for a sentence."""
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
