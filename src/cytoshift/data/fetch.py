"""Archives from the network into a folder of this machine, through pooch: resumed where they broke off, and checked.

    CACHE/dsb2018.zip             whole, its checksum was right
    CACHE/dsb2018.zip.part        what has arrived so far, and dsb2018.zip.part.json, of which version it is
    CACHE/checksums.json          of archives whose checksum nobody has published: that of the first time

A file that breaks off is asked for from where it ends (HTTP Range), as long as the server still has the same version
and sends what is missing. A checksum is kept of an archive that opens and is whole, not of a page that wants a login.
"""

import errno
import json
import os
import re
import shutil
import struct
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.atomic import clean_up, discard
from ..core.errors import UserError
from ..core.json_files import now, read_json, write_json
from ..core.lock import lock_outputs
from .public_sets import File, Public

PLACE = "CYTOSHIFT_DATA"  # environment: another cache
READ_BYTES = 2**18  # bytes that are read at once
TRIES = 4  # until a connection that breaks off is given up
TIMEOUT = 60.0  # seconds without a byte
CHECKSUMS = "checksums.json"
WEB_PAGE = (b"<!doctype html", b"<html")  # how a web page begins
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
Told = Callable[[int, int], None]  # bytes that are there, bytes in all, 0 where the server does not say


@dataclass(frozen=True)
class FetchedArchive:
    """An archive on this machine. known: whether its checksum was published, and not that of the first download."""

    path: Path
    sha256: str
    known: bool


def cache_folder() -> Path | None:
    """Where archives are kept; None where the user has no home directory and names no other place."""
    import pooch

    if place := os.environ.get(PLACE):
        return Path(place)
    try:
        found = Path(pooch.os_cache("cytoshift"))
    except RuntimeError:  # of platformdirs
        return None
    return found if found.is_absolute() else None  # older ones make a folder "~"


def download_state(data: Public, folder: Path | None) -> str:
    """What of a data set is on this machine: "yes", "no" or the part that is, as "12 MB"."""
    if folder is None:
        return "no"
    if data.files and all((folder / file.name).exists() for file in data.files):
        return "yes"
    there = [size(folder / name) for file in data.files for name in (file.name, f"{file.name}.part")]
    return f"{sum(there) / 1e6:.0f} MB" if sum(there) else "no"


def size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def fetch_archive(file: File, folder: Path, told: Told) -> FetchedArchive:
    """An archive, from the cache or from the network. Raises UserError with one sentence for all that can go wrong."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it would tell people to write checksums into code
    kept = read_json(folder / CHECKSUMS).get(file.name)
    wanted = file.sha256 or (kept.get("sha256") if isinstance(kept, dict) else None)
    if wanted is not None and not (isinstance(wanted, str) and SHA256.fullmatch(wanted)):
        raise UserError(f"{folder / CHECKSUMS} holds no checksum of {file.name} that can be read; remove the file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock_outputs(folder / file.name):
            if not wanted and (folder / file.name).exists() and (reason := archive_damage(folder / file.name)):
                raise UserError(
                    f"{folder / file.name} is not a complete archive ({reason}); remove it or put another there"
                )
            there = pooch.retrieve(
                file.url, f"sha256:{wanted}" if wanted else None, file.name, folder,
                downloader=ResumedDownload(file.name, told, bool(wanted)),
            )  # fmt: skip
            found = wanted or pooch.file_hash(there)
            if not wanted:
                clean_up(folder / CHECKSUMS)
                write_json(
                    folder / CHECKSUMS,
                    {**read_json(folder / CHECKSUMS), file.name: {"sha256": found, "url": file.url, "when": now()}},
                )
    except OSError as error:
        raise UserError(explain_failure(error, file, folder)) from error
    except ValueError as error:  # pooch's word for a checksum that is not the one
        if isinstance(error, UserError):
            raise
        source = "published" if file.sha256 else f"of the first download, in {folder / CHECKSUMS}"
        raise UserError(
            f"{file.url} is another file than expected: its checksum is not the one {source}; give the command again, "
            "and if that does not help, ask those who publish it"
        ) from error
    return FetchedArchive(Path(there), found, file.sha256 is not None)


def explain_failure(error: OSError, file: File, folder: Path) -> str:
    """What an error of the network or of the disk means."""
    kept = size(folder / f"{file.name}.part")
    rest = f"; {kept / 1e6:.3g} MB of it are kept, the same command goes on from there" if kept else ""
    if isinstance(error, urllib.error.HTTPError):
        cure = "the page of the data set may know where it has gone" if error.code in (404, 410) else "try again later"
        return f"{file.url} cannot be downloaded: {error.code} {error.reason}; {cure}{rest}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {folder} is full; free some space or choose another `cache`{rest}"
    if isinstance(error, urllib.error.URLError | TimeoutError | ConnectionError):
        reason = getattr(error, "reason", error)
        return (
            f"{file.url} cannot be reached ({reason}); connect to the network, or put the file into {folder} under the "
            f"name {file.name}{rest}"
        )
    return f"{folder} cannot be written: {error.strerror or error}; choose another `cache`{rest}"


@dataclass(frozen=True)
class ResumedDownload:
    """pooch's downloader: all that arrives is kept in NAME.part, which is given to pooch when it is whole.

    checked: a checksum is known, so that a file pieced together of two versions would be noticed.
    """

    name: str
    told: Told
    checked: bool

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """output_file: a temporary name in the folder of the cache, which pooch checks and renames."""
        part = Path(output_file).parent / f"{self.name}.part"
        for attempt in range(TRIES):
            try:
                self.arrive(url, part)
                break
            except (TimeoutError, ConnectionError, HTTPException) as error:
                if attempt + 1 == TRIES:
                    raise ConnectionError(str(error) or type(error).__name__) from error
        if not self.checked and (reason := archive_damage(part, self.name)):
            discard_part(part)
            raise UserError(
                f"{url} did not send a complete archive ({reason}), so none of it is kept; give the command again, "
                "and if that does not help, ask those who publish it"
            )
        part.replace(output_file)
        discard(part.with_name(f"{part.name}.json"))

    def arrive(self, url: str, part: Path) -> None:
        """Append what is missing. Raises ConnectionError where it breaks off before the end."""
        note = part.with_name(f"{part.name}.json")
        known = read_json(note) if part.exists() else {}
        version = known.get("version")
        have = size(part) if version or self.checked else 0
        headers = {"User-Agent": f"cytoshift/{__version__}", "Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-"} | ({"If-Range": version} if version else {})
        try:
            answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            error.close()
            discard_part(part)  # longer than the file, or whole without anybody knowing: from the start
            raise ConnectionError("what was kept did not fit the file") from error
        with answer:
            have = have if answer.status == 206 else 0
            total = have + int(answer.headers.get("Content-Length") or 0)
            tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            if have and (other := describe_mismatch(answer.headers, have, total, tag, known)):
                discard_part(part)
                raise ConnectionError(other)
            if total > have:
                refuse_full_disk(part.parent, total - have)
            if tag and not tag.startswith("W/"):  # a weak tag does not promise the same bytes
                note.write_text(json.dumps({"version": tag, "total": total}), encoding="utf-8")
            else:
                discard(note)
            first, kind = not have, answer.headers.get_content_type() if "Content-Type" in answer.headers else ""
            with part.open("ab" if have else "wb") as out:
                while block := answer.read(READ_BYTES):
                    if first and (kind == "text/html" or block.lstrip().lower().startswith(WEB_PAGE)):
                        discard_part(part)
                        raise UserError(
                            f"{url} returned a web page instead of an archive, perhaps a login; open it in a "
                            f"browser, and put the file into {part.parent} under the name {self.name}"
                        )
                    first = False
                    out.write(block)
                    have += len(block)
                    self.told(have, total)
        if have < total:
            raise ConnectionError(f"it broke off after {have} of {total} bytes")


def describe_mismatch(headers: Any, have: int, total: int, tag: str | None, known: dict[str, Any]) -> str:
    """Why a part that a server sent does not belong to what is there; "" where it does.

    known: version and size of what is there.
    """
    said = headers.get("Content-Range")
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said or "")
    if (said and not found) or (found and int(found[1]) != have):
        return f"the server sent {said} where bytes from {have} on were asked for"
    if found and found[3] != "*" and headers.get("Content-Length") and int(found[3]) != total:
        return f"the server sent {said} and {total - have} bytes"
    if tag and known.get("version") and tag != known["version"]:
        return "the file has changed on the server"
    if known.get("total") and total != known["total"]:
        return f"the file has {total} bytes now, and had {known['total']}"
    return ""


def discard_part(part: Path) -> None:
    """Remove what has arrived, and of which version it is."""
    discard(part)
    discard(part.with_name(f"{part.name}.json"))


def archive_damage(path: Path, name: str = "") -> str:
    """Why an archive does not open, or holds other bytes than were packed; "" where it is whole."""
    if not (name or path.name).lower().endswith(".zip"):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, OSError, struct.error, zlib.error) as error:
        return str(error)
    except (NotImplementedError, RuntimeError):  # a method or a password: whoever unpacks it says so
        return ""
    return f"{bad} is damaged" if bad else ""


def refuse_full_disk(folder: Path, need: int) -> None:
    """Raises OSError where a file will not fit: better before than after an hour."""
    if shutil.disk_usage(folder).free < need:
        raise OSError(errno.ENOSPC, f"{need / 1e9:.3g} GB are needed", str(folder))
