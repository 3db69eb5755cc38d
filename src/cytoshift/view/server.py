"""Neuroglancer on 127.0.0.1 behind a token: its client, which its Python package brings along, and our volumes.

Nothing of it is asked from anywhere else, and no other page can read what is served: paths hold the token, and no
header allows other origins.
"""

import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from ..core.atomic import atomic_path
from ..core.errors import UserError
from ..core.provenance import add_mark
from ..data.picture import FileGone
from .guard import Tickets, guard_server, hide_token, show_token, write_redirect
from .layers import Layer, state
from .virtual_zarr import encode_json

ADDRESS = "127.0.0.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Without a screen: WebGL 2 by SwiftShader, which every Chromium brings along.
HEADLESS = (
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run",
    "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
)  # fmt: skip
PICTURE_SECONDS = 300.0  # seconds that a picture may take


class Server:
    """Layers behind an address, from `with` on until its end.

    port: 0 for one that is free. say: is called with a sentence when something cannot be read.
    Raises UserError where neuroglancer is not installed or the port is taken.
    """

    def __init__(self, layers: Sequence[Layer], port: int = 0, say: Callable[[str], None] = print) -> None:
        self.layers, self.port, self.say = list(layers), port, say
        self.token = secrets.token_hex(20)
        self.told: set[str] = set()
        self.slow = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        neuroglancer = import_neuroglancer()
        refuse_taken_port(self.port)
        neuroglancer.set_server_bind_address(ADDRESS, self.port)
        # With a token of its own, no page can ask the viewer for credentials of this user.
        self.viewer = neuroglancer.Viewer(token=self.token, allow_credentials=False)
        self.server: Any = neuroglancer.server.global_server
        place = f"/data/{self.token}"
        data, ticket, nothing = make_handlers()
        self.server.app.add_handlers(".*", [
            (rf"{place}/(\d{{1,9}})(\.properties)?/(.*)", data, {"of": self}),
            (r"/ticket/([0-9a-f]+)", ticket, {"of": self}), (r"/favicon\.ico", nothing),
        ])  # fmt: skip
        self.tickets = Tickets(self.token)
        guard_server(self.server.http_server, self.tickets)
        self.hidden = hide_token(self.token)
        self.viewer.set_state(state(self.layers, f"http://{ADDRESS}:{self.server.port}{place}"))
        self.url = str(self.viewer.get_viewer_url())
        return self

    def __exit__(self, *error: object) -> None:
        for executor in (self.server.executor, self.slow):
            executor.shutdown(wait=False, cancel_futures=True)
        show_token(self.hidden)
        import_neuroglancer().stop()

    @property
    def address(self) -> str:
        """For a command line, which others can read: leads to the viewer once, and not any more when it has."""
        return f"http://{ADDRESS}:{self.server.port}/ticket/{self.tickets.issue()}"

    def executor(self, number: int) -> Executor:
        """Who reads a layer."""
        slow = number < len(self.layers) and self.layers[number].slow
        return self.slow if slow else self.server.executor

    def get(self, number: int, properties: bool, path: str) -> tuple[bytes, str]:
        """What lies under a path of a layer. Raises KeyError where there is nothing."""
        if number >= len(self.layers):
            raise KeyError(path)
        layer = self.layers[number]
        if not properties:
            return layer.served.get(path)
        if layer.properties is None or path != "info":
            raise KeyError(path)
        return encode_json(layer.properties.info()), "application/json"

    def complain(self, sentence: str) -> None:
        """Once each: a damaged file is damaged in many chunks."""
        if sentence not in self.told:
            self.told.add(sentence)
            self.say(sentence)

    def picture(self, path: Path, size: tuple[int, int] = (1280, 960), browser: str | None = None) -> Path:
        """Have a browser without a screen draw the view, when all chunks have arrived, and write it as PNG.

        Raises UserError where there is no Chromium, or where it draws nothing for PICTURE_SECONDS.
        """
        binary = browser or next(filter(None, map(shutil.which, BROWSERS)), None)
        if binary is None:
            raise UserError(
                f"a screenshot needs a browser, and none of {', '.join(BROWSERS)} is on the path; "
                "install Chromium, or leave `screenshot` out"
            )
        with self.viewer.config_state.txn() as shown:
            shown.show_ui_controls = shown.show_panel_borders = False
            shown.viewer_size = list(size)
        with self.viewer.txn() as now:
            now.selected_layer.visible = False
        arrived, answers = threading.Event(), list[Any]()

        def keep_answer(answer: Any) -> None:
            answers.append(answer.screenshot)
            arrived.set()

        self.viewer.async_screenshot(keep_answer)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            window = f"--window-size={size[0]},{size[1]}"
            start = write_redirect(Path(profile), self.url)
            command = [binary, *HEADLESS, window, f"--user-data-dir={profile}", start]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                found = arrived.wait(PICTURE_SECONDS)
            finally:
                process.terminate()
                process.wait()
        if not found:
            raise UserError(
                f"{binary} showed nothing for {PICTURE_SECONDS:.0f} s; leave `screenshot` out to see why in a browser"
            )
        with atomic_path(path) as beside:
            beside.write_bytes(add_mark(answers[0].image))
        return path


def refuse_taken_port(port: int) -> None:
    """Raises UserError where another program listens; neuroglancer would leave half a server behind."""
    with socket.socket() as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind((ADDRESS, port))
        except OSError as error:
            raise UserError(
                f"port {port} of {ADDRESS} cannot be used ({error.strerror}); pass another `port`, or leave it out"
            ) from error


def import_neuroglancer() -> Any:
    """The library, or one sentence that says how to install it."""
    try:
        import neuroglancer
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is needed to look at images in a browser; pip install 'cytoshift[view]'"
        ) from error
    return neuroglancer


def make_handlers() -> tuple[type, type, type]:
    """Of requests for data, of tickets, and of what browsers ask for unasked.

    A function, as tornado comes with neuroglancer.
    """
    import asyncio

    from tornado.web import RequestHandler

    class Data(RequestHandler):
        def initialize(self, of: Server) -> None:
            self.of = of

        async def get(self, number: str, properties: str | None, path: str) -> None:
            loop = asyncio.get_running_loop()
            try:
                content, kind = await loop.run_in_executor(
                    self.of.executor(int(number)), self.of.get, int(number), properties is not None, path
                )
            except KeyError:
                self.send_error(404)
                return
            except UserError as error:
                self.of.complain(str(error))
                self.send_error(410 if isinstance(error, FileGone) else 500)
                return
            self.set_header("Content-Type", kind)
            self.set_header("Cache-Control", "no-store")
            self.finish(content)

        def compute_etag(self) -> None:
            return None  # a hash of every chunk would be for nothing

    class Ticket(RequestHandler):
        def initialize(self, of: Server) -> None:
            self.of = of

        def get(self, ticket: str) -> None:
            if self.of.tickets.redeem(ticket):
                self.redirect(self.of.url)
            else:
                self.send_error(404)

    class Nothing(RequestHandler):
        def get(self) -> None:
            self.set_status(204)

    return Data, Ticket, Nothing
