"""Public data sets, from a server on this machine: resumed, checked, told in one sentence when something is wrong."""

import errno
import hashlib
import io
import json
import re
import threading
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from cytoshift.cli.data import find_sets
from cytoshift.cli.main import app
from cytoshift.core.errors import UserError
from cytoshift.core.lock import lock_outputs
from cytoshift.data import fetch
from cytoshift.data.fetch import FetchedArchive, download_state, fetch_archive
from cytoshift.data.public_sets import PUBLIC, UNKNOWN, File, Public, Rule
from cytoshift.data.unpack import member_target, unpack_archives
from cytoshift.data.volumes import open_labels, open_volumes


def packed(seed):
    """An archive of one file of noise."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("noise"), np.random.default_rng(seed).bytes(1_000_000))
    return out.getvalue()


CONTENT, OTHER = packed(0), packed(1)


class Server(ThreadingHTTPServer):
    """One file. breaks: of the next answers, after so many bytes each; ranges: whether parts can be asked for; said:
    another Content-Range than is sent; kind: Content-Type; length: whether it is said; careless: of any version."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.breaks, self.ranges, self.asked = CONTENT, '"one"', [], True, []
        self.said, self.kind, self.length, self.careless = None, "", True, False
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, start = self.server, 0
        server.asked.append(self.headers.get("Range"))
        if self.path != "/data.zip":
            self.send_error(404)
            return
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        same = server.careless or self.headers.get("If-Range") in (None, server.tag)
        if found and server.ranges and same:
            start = int(found.group(1))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            here = f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
            self.send_header("Content-Range", server.said or here)
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        if server.kind:
            self.send_header("Content-Type", server.kind)
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(body[: server.breaks.pop(0)] if server.breaks else body)

    def log_message(self, *words):
        pass


@pytest.fixture
def server():
    found = Server()
    yield found
    found.shutdown()
    found.server_close()


def file_of(server, known=True):
    return File(server.url, "data.zip", hashlib.sha256(CONTENT).hexdigest() if known else None)


def quiet(have, total):
    pass


def test_a_file_arrives_once_and_is_whole(server, tmp_path):
    told = []
    got = fetch_archive(file_of(server), tmp_path, lambda have, total: told.append((have, total)))
    assert got.path.read_bytes() == CONTENT and got.known
    assert told[-1] == (len(CONTENT), len(CONTENT))
    server.shutdown()
    assert fetch_archive(file_of(server), tmp_path, quiet) == got  # from the cache, without a network
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.zip"]


def test_what_breaks_off_goes_on_where_it_ended(server, tmp_path):
    server.breaks = [300_000, 200_000]
    assert fetch_archive(file_of(server), tmp_path, quiet).path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_after_too_many_tries_the_part_is_kept_and_the_next_call_goes_on(server, tmp_path):
    server.breaks = [100_000] * fetch.TRIES
    with pytest.raises(UserError, match=r"cannot be reached .* 0.4 MB of it are kept, the same command goes on"):
        fetch_archive(file_of(server, known=False), tmp_path, quiet)
    assert download_state(Public("x", "", "", "", "", (file_of(server),)), tmp_path) == "0 MB"
    assert fetch_archive(file_of(server, known=False), tmp_path, quiet).path.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=400000-"


def test_another_version_on_the_server_begins_anew(server, tmp_path):
    server.breaks = [100_000] * fetch.TRIES
    with pytest.raises(UserError):
        fetch_archive(file_of(server, known=False), tmp_path, quiet)
    server.content, server.tag = OTHER, '"two"'
    assert fetch_archive(file_of(server, known=False), tmp_path, quiet).path.read_bytes() == OTHER


@pytest.mark.parametrize("tag", ['"one"', None, 'W/"weak"'])
def test_a_server_that_knows_no_parts(server, tmp_path, tag):
    server.ranges, server.tag, server.breaks = False, tag, [300_000]
    assert fetch_archive(file_of(server), tmp_path, quiet).path.read_bytes() == CONTENT


def test_a_part_that_is_whole_already(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT)
    (tmp_path / "data.zip.part.json").write_text(json.dumps({"version": '"one"'}))
    assert fetch_archive(file_of(server), tmp_path, quiet).path.read_bytes() == CONTENT


def begun(server, folder, known=False):
    """A download that broke off after 400,000 bytes."""
    server.breaks = [100_000] * fetch.TRIES
    with pytest.raises(UserError):
        fetch_archive(file_of(server, known), folder, quiet)


@pytest.mark.parametrize("said", ["bytes 0-{last}/{all}", "bytes 5-{last}/{all}", "400000-", "bytes 400000-{last}/9"])
def test_a_part_that_starts_elsewhere_is_not_put_behind_what_is_there(server, tmp_path, said):
    begun(server, tmp_path)
    server.said = said.format(last=len(CONTENT) - 1, all=len(CONTENT))
    assert fetch_archive(file_of(server, known=False), tmp_path, quiet).path.read_bytes() == CONTENT
    assert server.asked[-2:] == ["bytes=400000-", None]


def test_a_part_of_another_version_is_not_put_behind_what_is_there(server, tmp_path):
    """The server answers with the part, though If-Range asked for the version that is there."""
    begun(server, tmp_path)
    server.content, server.tag, server.careless = OTHER, '"two"', True
    assert fetch_archive(file_of(server, known=False), tmp_path, quiet).path.read_bytes() == OTHER


@pytest.mark.parametrize("body, kind", [
    (b"<html>please log in</html>      ", ""), (b"\n<!DOCTYPE html>", ""), (b"log in", "text/html; charset=utf-8"),
])  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_a_web_page_is_no_archive(server, tmp_path, body, kind, known):
    server.content, server.kind = body, kind
    with pytest.raises(
        UserError, match=r"returned a web page instead of an archive.* put the file into .* the name data.zip"
    ):
        fetch_archive(file_of(server, known), tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []
    server.content, server.kind = CONTENT, ""
    assert fetch_archive(file_of(server, known), tmp_path, quiet).path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-30], CONTENT[:500_000] + b"x" + CONTENT[500_001:], b""])
def test_no_checksum_is_kept_of_an_archive_that_is_not_whole(server, tmp_path, content):
    """Cut short where the server does not say how long it is, or changed on the way."""
    server.content, server.length = content, False
    with pytest.raises(UserError, match=r"did not send a complete archive \(.*\), so none of it is kept"):
        fetch_archive(file_of(server, known=False), tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []
    server.content = CONTENT
    assert fetch_archive(file_of(server, known=False), tmp_path, quiet).path.read_bytes() == CONTENT


def test_a_file_that_was_put_there_by_hand_is_looked_into_and_stays(server, tmp_path):
    (tmp_path / "data.zip").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"data.zip is not a complete archive .*; remove it or put another there"):
        fetch_archive(file_of(server, known=False), tmp_path, quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_two_downloads_of_one_file_at_once_are_one(server, tmp_path):
    with lock_outputs(tmp_path / "data.zip"), pytest.raises(UserError, match="another command works in"):
        fetch_archive(file_of(server), tmp_path, quiet)
    assert fetch_archive(file_of(server), tmp_path, quiet).path.read_bytes() == CONTENT


def test_a_wrong_checksum_is_a_sentence_and_nothing_is_kept(server, tmp_path):
    with pytest.raises(UserError, match="its checksum is not the one published; give the command again"):
        fetch_archive(File(server.url, "data.zip", "0" * 64), tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_without_a_published_checksum_the_first_one_counts(server, tmp_path):
    got = fetch_archive(file_of(server, known=False), tmp_path, quiet)
    assert not got.known and got.sha256 == hashlib.sha256(CONTENT).hexdigest()
    got.path.unlink()
    server.content = CONTENT[:-1]
    with pytest.raises(UserError, match=r"not the one of the first download, in .*checksums.json"):
        fetch_archive(file_of(server, known=False), tmp_path, quiet)


def test_what_is_not_there_and_who_is_not_there(server, tmp_path):
    with pytest.raises(UserError, match=r"cannot be downloaded: 404 .*; the page of the data set may know"):
        fetch_archive(File(server.url.replace("data", "none"), "data.zip"), tmp_path, quiet)
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"cannot be reached .*; connect to the network, or put the file into"):
        fetch_archive(file_of(server), tmp_path, quiet)


def test_a_disk_that_is_full_is_said_before_and_on_the_way(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr(fetch.shutil, "disk_usage", lambda folder: usage(9, 8, 1000))
        with pytest.raises(UserError, match=r"the disk of .* is full; free some space or choose another `cache`$"):
            fetch_archive(file_of(server), tmp_path, quiet)

    def full(have, total):
        if have > 500_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"is full; .*; 0.\d+ MB of it are kept"):
        fetch_archive(file_of(server), tmp_path, full)
    assert fetch_archive(file_of(server), tmp_path, quiet).path.read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written(server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"cannot be written: .*; choose another `cache`"):
        fetch_archive(file_of(server), tmp_path / "cache", quiet)


def image(array, form="tiff"):
    out = io.BytesIO()
    if form == "png":
        Image.fromarray(array).save(out, "PNG")
    else:
        tifffile.imwrite(out, array)
    return out.getvalue()


def archive(path, members):
    with zipfile.ZipFile(path, "w") as out:
        for name, content in members.items():
            out.writestr(name, content)
    return FetchedArchive(path, "0" * 64, True)


CELLS = Public(
    "cells", "two cells", "CC0", "Somebody, 2020", "https://example.org", (File("https://example.org/a.zip", "a.zip"),),
    (Rule(r"raw/(train|test)/(.*)\.tif", r"\1/images/\2.tif"),
     Rule(r"seg/(train|test)/(.*)\.tif", r"\1/labels/\2.tif")),
    flip=r"seg/.*", hint="--voxel 1,1 --unit um",
)  # fmt: skip


def test_images_and_labels_lie_as_the_other_verbs_take_them(tmp_path):
    raw, seg = np.arange(12, dtype=np.uint8).reshape(3, 4), np.array([[1, 1, 0, 0], [0] * 4, [0, 0, 2, 2]], np.uint16)
    got = archive(tmp_path / "a.zip", {
        "raw/train/a.tif": image(raw), "seg/train/a.tif": image(seg), "raw/test/b.tif": image(raw), "notes.txt": b"no",
        "__MACOSX/raw/train/a.tif": b"junk", "raw/train/../../../evil.tif": b"evil", "raw/train/..": b"evil",
    })  # fmt: skip
    out = tmp_path / "out"
    assert unpack_archives(CELLS, [got], out) == {"train/images": 1, "train/labels": 1, "test/images": 1}
    (a,), (labels,) = open_volumes(out / "train" / "images"), open_labels(out / "train" / "labels")
    assert a.name == labels.name and (a.load() == raw).all() and (labels.load() == seg[::-1]).all()
    said = json.loads((out / "dataset.json").read_text())
    assert said["licence"] == "CC0" and said["archives"][0]["checksum"] == "published" and said["cite"]
    assert not list(tmp_path.rglob("evil*"))
    with pytest.raises(UserError, match="already exists; choose another `out`"):
        unpack_archives(CELLS, [got], out)


def test_masks_of_single_objects_become_labels(tmp_path):
    one, two = np.zeros((2, 4, 5), np.uint8)
    one[0, :2], two[2:, 3:] = 255, 255
    data = Public("m", "", "", "", "", (File("u", "a.zip"),), (Rule(r"[^/]+/images/(.*)", r"images/\1"),),
                  merge=r"([^/]+)/masks/([^/]+)\.png")  # fmt: skip
    got = archive(tmp_path / "a.zip", {
        "x/images/x.png": image(one, "png"), "x/masks/1.png": image(one, "png"), "x/masks/2.png": image(two, "png"),
    })  # fmt: skip
    assert unpack_archives(data, [got], tmp_path / "out") == {"images": 1, "labels": 1}
    (labels,) = open_labels(tmp_path / "out" / "labels")
    assert (labels.load() == (one > 0) + 2 * (two > 0)).all()


def test_masks_in_colours_become_masks(tmp_path):
    mask = np.zeros((4, 5, 4), np.uint8)
    mask[..., 3], mask[1:3, 1:4] = 255, 255
    members = {"Lucchi++/Train_Out/0.png": image(mask, "png"), "Lucchi++/Train_In/mask0000.png": image(mask, "png")}
    unpack_archives(PUBLIC["lucchi"], [archive(tmp_path / "a.zip", members)], tmp_path / "out")
    (labels,) = open_labels(tmp_path / "out" / "train" / "labels")
    assert (labels.load() == mask[..., 0]).all()


def test_archives_that_are_damaged_or_of_another_layout(tmp_path):
    (tmp_path / "a.zip").write_bytes(CONTENT[:-100])
    with pytest.raises(UserError, match=r"a.zip is damaged .*; remove it and give the command again"):
        unpack_archives(CELLS, [FetchedArchive(tmp_path / "a.zip", "", True)], tmp_path / "out")
    got = archive(tmp_path / "b.zip", {"elsewhere/a.tif": b""})
    with pytest.raises(UserError, match=r"b.zip hold nothing of the layout that is known of cells; unpack"):
        unpack_archives(CELLS, [got], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "member", "place"),
    [
        ("dsb2018", "dsb2018/train/masks/0a7d.tif", "train/labels/0a7d.tif"),
        ("bbbc024-c75-high", "image-final_0012.tif", "images/0012.tif"),
        ("bbbc024-c75-high", "BBBC024/image-labels_0012.tif", "labels/0012.tif"),
        ("bbbc050", "GroundTruth/test/GroundTruth_QCANet/emb1.tif", "test/labels/emb1.tif"),
        ("bbbc050", "GroundTruth/train/GroundTruth_NSN/emb1.tif", None),
        ("bbbc006", "BBBC006_v1_images_z_16/mcf-z-stacks-03212011_a01_s1_w1a57.tif", "images/a01_s1.tif"),
        ("bbbc006", "BBBC006_v1_images_z_16/mcf-z-stacks-03212011_a01_s1_w2283.tif", None),
        ("bbbc006", "BBBC006_v1_labels/mcf-z-stacks-03212011_a01_s1.png", "labels/a01_s1.png"),
        ("fluo-n2dl-hela", "Fluo-N2DL-HeLa/01/t003.tif", "images/01_t003.tif"),
        ("fluo-n2dl-hela", "Fluo-N2DL-HeLa/01_GT/SEG/man_seg003.tif", "labels/01_t003.tif"),
        ("fluo-n2dl-hela", "Fluo-N2DL-HeLa/01_GT/TRA/man_track003.tif", None),
        ("fluo-n3dh-ce", "Fluo-N3DH-CE/02_GT/SEG/man_seg_028_012.tif", "slices/02_t028_z012.tif"),
        ("nucmm-z", "NucMM-Z/Image/train/img_1.h5", "train/images/img_1.h5"),
        ("gonuclear", "Training image dataset_Tiff Files/1135/1135_n_H2BtdTomato.tif", "images/1135.tif"),
        ("lucchi", "Lucchi++/Test_Out/7.png", "test/labels/7.png"),
        ("vnc", "groundtruth-drosophila-vnc-master/stack1/mitochondria/04.png", "train/labels/04.png"),
        ("mitoem-rat", "mito-train-v2/seg0400.tif", "train/labels/0400.tif"),
    ],
)
def test_what_goes_where(name, member, place):
    assert member_target(PUBLIC[name], member) == place


def test_every_data_set_says_what_it_is():
    for name, one in PUBLIC.items():
        assert (
            name == one.name == name.lower() and one.what and one.licence and one.cite and one.page.startswith("http")
        )
        for file in one.files:
            assert urlparse(file.url).scheme in ("http", "https") and re.fullmatch(r"[\w.+-]+", file.name)
            assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert bool(one.files) == bool(one.rules)
    assert {n for n, one in PUBLIC.items() if one.licence == UNKNOWN} == {
        "bbbc006", "nucexm", "gonuclear", "lucchi", "mitoem-rat", "mitoem-human"
    }  # fmt: skip


def run(*arguments, **more):
    return CliRunner().invoke(app, ["data", *arguments], catch_exceptions=True, **more)


def test_the_verb_lists_what_there_is(tmp_path):
    result = run("--cache", str(tmp_path))
    assert (
        result.exit_code == 0 and "dsb2018" in result.output and "CC0" in result.output and "by hand" in result.output
    )
    rows = json.loads(run("--cache", str(tmp_path), "--json").output)["sets"]
    assert {row["name"] for row in rows} == set(PUBLIC) and rows[0]["here"] == "no"


def test_the_verb_gets_one_and_shows_the_licence_first(server, tmp_path, monkeypatch):
    raw = np.arange(12, dtype=np.uint8).reshape(3, 4)
    made = archive(tmp_path / "made.zip", {"raw/train/a.tif": image(raw), "seg/train/a.tif": image(raw)})
    server.content = made.path.read_bytes()
    monkeypatch.setitem(PUBLIC, "cells", Public(**{**vars(CELLS), "files": (File(server.url, "a.zip"),)}))
    common = ("cells", "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"))
    refused = run(*common)
    assert isinstance(refused.exception, UserError) and "pass --accept" in str(refused.exception)
    assert "licence  CC0" in refused.output and server.asked == []
    result = run(*common, "--accept")
    assert result.exit_code == 0 and "has no published checksum" in result.output and "--voxel 1,1" in result.output
    assert (tmp_path / "out" / "train" / "labels" / "a.tif").exists()


def test_a_family_is_all_of_its_data_sets(server, tmp_path, monkeypatch):
    made = archive(tmp_path / "made.zip", {"raw/train/a.tif": image(np.ones((3, 4), np.uint8))})
    server.content = made.path.read_bytes()
    for name in ("cells-a", "cells-b"):
        kept = Public(**{**vars(CELLS), "name": name, "files": (File(server.url, f"{name}.zip"),)})
        monkeypatch.setitem(PUBLIC, name, kept)
    result = run("cells", "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--accept", "--json")
    assert [one["name"] for one in json.loads(result.stdout)["sets"]] == ["cells-a", "cells-b"]
    assert all((tmp_path / "out" / name / "train" / "images" / "a.tif").exists() for name in ("cells-a", "cells-b"))
    assert {"nucmm-z", "nucmm-m"} == {one.name for one in find_sets("nucmm")} and len(find_sets("bbbc024")) == 8


def test_wishes_that_cannot_be_met(tmp_path):
    for arguments, words in (
        (("nuclei",), "there is no data set 'nuclei'; cytoshift data lists them all"),
        (("bbbc05",), "there is no data set 'bbbc05'; did you mean bbbc050"),
        (("dsb2018",), "no folder for dsb2018 was given"),
        (("nucexm", "-o", str(tmp_path / "x")), "no address from which it can be downloaded; get it from https"),
    ):
        assert words in str(run(*arguments).exception)


def test_without_a_home_sets_are_listed_and_a_download_asks_for_a_place(tmp_path, monkeypatch):
    def homeless(name):
        raise RuntimeError(
            "could not determine the home directory for '~/.cache', set an absolute HOME or XDG variable"
        )

    monkeypatch.delenv(fetch.PLACE, raising=False)
    monkeypatch.setattr("pooch.os_cache", homeless)
    result = CliRunner().invoke(app, ["data"])
    assert result.exit_code == 0 and "archives are kept in the folder that --cache names" in " ".join(
        result.output.split()
    )
    with pytest.raises(UserError, match="no home directory for downloaded files; pass --cache FOLDER"):
        CliRunner().invoke(app, ["data", "dsb2018", "-o", str(tmp_path / "o"), "--accept"], catch_exceptions=False)
    monkeypatch.setenv(fetch.PLACE, str(tmp_path))
    assert fetch.cache_folder() == tmp_path
