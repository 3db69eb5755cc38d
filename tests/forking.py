"""Commands in processes of their own that start at once: a server that has loaded everything, and forks.

A command may be told to kill itself before or after its n-th rename, the moments at which a result gets its name.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


class Commands:
    """The side of the tests."""

    def __enter__(self) -> "Commands":
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        words = [sys.executable, __file__]
        self.server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        return self

    def __exit__(self, *error) -> None:
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def ask(self, **what):
        self.server.stdin.write(json.dumps(what) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def start(self, folder: Path, words, kill: int | None = None, after: bool = False) -> int:
        """The process of `cytoshift WORDS` in a folder; kill: the rename at which it ends, before or `after` it."""
        return self.ask(do="start", folder=str(folder), words=[*map(str, words)], kill=kill, after=after)

    def wait(self, process: int) -> tuple[int, str]:
        """Its exit code, negative for a signal, and what it said."""
        return tuple(self.ask(do="wait", process=process))

    def run(self, folder: Path, words, kill: int | None = None, after: bool = False) -> tuple[int, str]:
        return self.wait(self.start(folder, words, kill, after))


def counting(kill: int, after: bool) -> None:
    """Have this process kill itself at a rename."""
    count = 0

    def counted(rename):
        def renamed(*arguments, **options):
            nonlocal count
            count += 1
            if count == kill and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*arguments, **options)
            if count == kill:
                os.kill(os.getpid(), signal.SIGKILL)

        return renamed

    os.replace, os.rename = counted(os.replace), counted(os.rename)


def child(main, folder: str, words: list[str], kill: int | None, after: bool, said: int) -> None:
    os.chdir(folder)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["cytoshift", *words]
    if kill is not None:
        counting(kill, after)
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    import tempfile

    import imagecodecs  # noqa: F401
    import numba
    import tifffile  # noqa: F401
    import torch
    import zarr  # noqa: F401

    import cytoshift.bench.runner
    import cytoshift.predict.blockwise
    import cytoshift.report
    import cytoshift.train.fit
    import cytoshift.trust.snapshot_choice  # noqa: F401
    from cytoshift.cli.main import main

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    outputs = {}
    for line in sys.stdin:
        what = json.loads(line)
        if what["do"] == "start":
            said = tempfile.TemporaryFile()  # noqa: SIM115 (until `wait`)
            process = os.fork()
            if not process:
                child(main, what["folder"], what["words"], what["kill"], what["after"], said.fileno())
            outputs[process] = said
            answer = process
        else:
            status = os.waitpid(what["process"], 0)[1]
            said = outputs.pop(what["process"])
            said.seek(0)
            answer = [os.waitstatus_to_exitcode(status), said.read().decode(errors="replace")]
            said.close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
