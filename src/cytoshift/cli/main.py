"""The command line. A verb is the function of its name in the file of its name; its heavy imports stand inside it."""

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .. import __version__
from ..core.errors import UserError
from ..core.signals import StopRequest, handle_signals
from ..core.threads import wait_briefly
from .assess import assess
from .bench import bench
from .commands import Verb, Verbs
from .console import say
from .convert import convert
from .data import data
from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .export import export
from .import_config import import_config
from .info import info
from .label import label
from .models import models
from .new import new
from .plan import plan
from .report import report
from .run import run
from .segment import segment
from .select import select
from .stitch import stitch
from .synth import synth
from .train import train
from .translate import translate
from .trust import trust
from .view import view
from .vote import vote

INTERRUPTED = 130  # what a shell expects after Ctrl-C
CURES = {
    errno.ENOSPC: "free some space or choose another output with -o",
    errno.EDQUOT: "free some of your quota or choose another output with -o",
    errno.EACCES: "change its permissions or choose another path",
    errno.EPERM: "change its permissions or choose another path",
    errno.EROFS: "choose another output with -o",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files (ulimit -n)",
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ESTALE, errno.EFBIG),
        "check the path and the disk",
    ),
}
# What torch says, in a RuntimeError of no class of its own, where numpy raises MemoryError.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")
OUT_OF_SHARED_MEMORY = ("allocate shared memory", "file </torch_", "workers are out of shared memory")

# Help is plain text: where typer reads it as markup, the brackets of `run.yaml [key=value ...]` vanish.
app = typer.Typer(
    name="cytoshift", cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cytoshift {__version__}")
        raise typer.Exit


@app.callback()
def cytoshift(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Segment microscopy that nobody has labelled, in 2D and 3D."""


# In the order of a first day.
GROUPS: dict[str, tuple[Callable[..., None], ...]] = {
    "Start here": (run, demo, data, doctor),
    "Look": (info, view),
    "Train": (new, train, select, synth, import_config),
    "Segment": (models, assess, segment, label, stitch, translate),
    "Judge": (trust, vote, evaluate, report, bench),
    "Large volumes": (convert, plan),
    "Share": (export,),
}
for group, verbs in GROUPS.items():
    for verb in verbs:
        app.command(cls=Verb, rich_help_panel=group)(verb)


def main() -> None:
    """Run a verb. What the user or the machine can mend is one sentence; a bug keeps its traceback.

    Exit codes: 0 done, 1 the machine gave up (memory, disk, permissions), 2 a wish that cannot be met, 128 + n where
    signal n asked for an end, 130 of them Ctrl-C.
    """
    wait_briefly()
    # Large tensors in huge pages, if torch is told before its first one: networks over large tiles are a tenth faster.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that knows no more than ASCII gets the rest written out
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with handle_signals():
            app(prog_name="cytoshift")
    except StopRequest as stop:
        if stop.words is None:  # the process that leads says it, and would take another code for a failure
            sys.exit(0)
        complain(stop.sentence())
        sys.exit(128 + stop.number)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            complain("stopped by Ctrl-C; train and bench continue when the same command is given again")
        raise
    except UserError as error:
        complain(str(error))
        sys.exit(2)
    except (MemoryError, RuntimeError, OSError) as error:
        if (sentence := machine_limit(error)) is None:
            raise
        complain(sentence)
        sys.exit(1)


def machine_limit(error: MemoryError | RuntimeError | OSError) -> str | None:
    """The sentence about memory, disk or permissions that have run out; None where the error says something else."""
    if isinstance(error, OSError):
        if error.errno not in CURES:
            return None
        return f"cannot use {error.filename or 'the disk'}: {error.strerror}; {CURES[error.errno]}"
    if any(words in str(error) for words in OUT_OF_SHARED_MEMORY):
        return (
            "the shared memory of this machine (/dev/shm) ran out; set train.workers=0, or enlarge it "
            "(docker run --shm-size=1g); the same command goes on"
        )
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return "the memory of this machine ran out; take smaller tiles, patches or batches, or close other programs"
    return None


def complain(sentence: str) -> None:
    """In red where somebody watches."""
    say(f"cytoshift: {sentence}", err=True, fg="red")


if __name__ == "__main__":
    main()
