"""Decides which requests the viewer answers: none without the token, none with a large body; no token is logged.

Tornado comes with neuroglancer, an extra: so it is imported inside of functions.
"""

import hmac
import html
import logging
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote

BODY_BYTES = 2**25  # bytes of a request: a picture that the browser has drawn, as text, is the largest
OPEN_PATHS = ("/favicon.ico",)  # what browsers ask for unasked
LOGGERS = ("tornado.access", "tornado.application", "tornado.general")


class Tickets:
    """Addresses for a command line, which anybody on this machine can read: each leads to the viewer once."""

    def __init__(self, token: str) -> None:
        self.token, self.open = token, set[str]()

    def issue(self) -> str:
        ticket = secrets.token_hex(20)
        self.open.add(ticket)
        return ticket

    def redeem(self, ticket: str) -> bool:
        """Whether the ticket is good; it is not any more."""
        if ticket not in self.open:
            return False
        self.open.remove(ticket)
        return True

    def is_allowed(self, path: str) -> bool:
        """Whether a request of that path is answered at all."""
        if path in OPEN_PATHS:
            return True
        parts = unquote(path.partition("?")[0]).split("/")
        known = any(hmac.compare_digest(part.encode(), self.token.encode()) for part in parts)
        return known or (len(parts) == 3 and parts[1] == "ticket" and parts[2] in self.open)


class Door:
    """Hands a request on when its first line is there, or answers 404 and forgets the body; tornado's delegate."""

    def __init__(self, inside: Any, connection: Any, guests: list[Tickets]) -> None:
        self.inside, self.connection, self.guests = inside, connection, guests

    def headers_received(self, start_line: Any, headers: Any) -> Any:
        if any(known.is_allowed(getattr(start_line, "path", "")) for known in self.guests):
            return self.inside.headers_received(start_line, headers)
        self.inside = None
        return self.refuse()

    def refuse(self) -> None:
        from tornado.httputil import HTTPHeaders, ResponseStartLine

        nothing = HTTPHeaders({"Content-Length": "0", "Connection": "close"})
        self.connection.write_headers(ResponseStartLine("HTTP/1.1", 404, "Not Found"), nothing)
        self.connection.finish()

    def data_received(self, chunk: bytes) -> Any:
        return self.inside and self.inside.data_received(chunk)

    def finish(self) -> None:
        if self.inside:
            self.inside.finish()

    def on_connection_close(self) -> None:
        if self.inside:
            self.inside.on_connection_close()


def guard_server(server: Any, tickets: Tickets) -> None:
    """Have a running tornado server answer 404 to whatever lacks a token, before it has read a body.

    Neuroglancer has one server in a process: of several viewers each lets its own requests in.
    """
    from tornado.httputil import HTTPServerConnectionDelegate

    if (there := getattr(server.request_callback, "guests", None)) is not None:
        there.append(tickets)
        return

    class Guard(HTTPServerConnectionDelegate):
        """The server's application behind doors. guests: whose requests are let in."""

        def __init__(self, application: Any) -> None:
            self.application, self.guests = application, [tickets]

        def start_request(self, server_conn: object, request_conn: Any) -> Any:
            return Door(self.application.start_request(server_conn, request_conn), request_conn, self.guests)

        def on_close(self, server_conn: object) -> None:
            self.application.on_close(server_conn)

    server.request_callback = Guard(server.request_callback)
    server.conn_params.max_body_size = BODY_BYTES


class TokenFilter(logging.Filter):
    """The token is not logged."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = record.getMessage().replace(self.token, "TOKEN"), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = record.exc_text.replace(self.token, "TOKEN")
        return True


def hide_token(token: str) -> TokenFilter:
    """Keep a token out of tornado's logs, until `show_token`."""
    hidden = TokenFilter(token)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(hidden)
    return hidden


def show_token(hidden: TokenFilter) -> None:
    for name in LOGGERS:
        logging.getLogger(name).removeFilter(hidden)


def write_redirect(folder: Path, url: str) -> str:
    """The address of a page in a folder of this user alone that leads to `url`, which no command line holds."""
    page = folder / "start.html"
    page.touch(mode=0o600)
    page.write_text(f'<meta http-equiv="refresh" content="0; url={html.escape(url)}">', encoding="utf-8")
    return page.as_uri()
