"""Files made to hurt: what a header promises is not believed, memory stays bounded, and all ends in one sentence."""

import csv
import errno
import io
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from cytoshift.cli.main import app, machine_limit
from cytoshift.core.errors import UserError
from cytoshift.core.text import escape_cell, make_printable, unescape_cell
from cytoshift.core.voxel import Voxel
from cytoshift.data import unpack
from cytoshift.data.fetch import FetchedArchive
from cytoshift.data.lazy import refuse_pieces
from cytoshift.data.public_sets import File, Public, Rule
from cytoshift.data.unpack import unpack_archives
from cytoshift.data.volumes import open_volumes
from cytoshift.model import Segmenter
from cytoshift.nets.unet import UNetSpec
from cytoshift.predict.outputs import Table
from cytoshift.predict.pipeline import predict
from cytoshift.represent import BCD
from cytoshift.train import checkpoint
from large_files import bigtiff, deflated
from predicting import nuclei, segmenter, taught, volume

CELLS, LABELS = nuclei((96, 80), 14, 0)
PAGE = 1024 * (1 if sys.platform != "darwin" else 1 / 1024)


def peak() -> float:
    """GB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PAGE / 1e9


def run(*words: object, **kwargs) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], **kwargs)
    if isinstance(result.exception, UserError):
        return 2, result.output + str(result.exception)
    if isinstance(result.exception, OSError):
        return 1, result.output + (machine_limit(result.exception) or "")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


# Fault 6: memory.


def test_one_compressed_strip_is_refused_before_the_work(tmp_path):
    path = bigtiff(tmp_path / "a.tif", 50_000, 8, rows=50_000, body=deflated(50_000 * 50_000))
    model = segmenter().save(tmp_path / "model")
    for words in (("new", "adgan", "--images", path, "-o", tmp_path / "run.yaml"),
                  ("segment", model, path, "-o", tmp_path / "o.ome.zarr", "--memory", "1.5GB")):  # fmt: skip
        code, said = run(*words)
        assert code == 2 and "stored in pieces of 50000 x 50000 voxels, 2.5 GB each" in said
        assert "'cytoshift convert' with " + ("`memory=7GB`" if words[0] == "new" else "--memory 7GB") in said
    code, said = run("info", path, "-o", tmp_path / "t.png")
    assert code == 0 and "50000 x 50000 voxels" in said and "not looked at" in said
    assert not (tmp_path / "o.ome.zarr").exists() and not list(tmp_path.glob(".*part*"))


def test_pieces_are_those_of_what_is_stored():
    class Stored:
        shape, chunks, dtype = (100, 200), (100, 200), np.dtype(np.uint8)

    refuse_pieces(Stored(), "a", 40_000)
    with pytest.raises(UserError, match=r"a is stored in pieces of 100 x 200 voxels"):
        refuse_pieces(Stored(), "a", 39_999)


def test_more_tiles_than_their_places_are_damage(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), tile=(16, 16), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        places = [file.pages[0].tags[code].valueoffset for code in (256, 257)]
    content = bytearray(path.read_bytes())
    for place in places:  # 4 G tiles
        content[place : place + 4] = struct.pack("<I", 2**20)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"declares 4294967296 tiles .* has the places of only 16; it is damaged"):
        open_volumes(path)


def test_strips_larger_than_their_bytes_can_become_are_damage(tmp_path):
    path = bigtiff(tmp_path / "a.tif", 20_000, 8, rows=20_000, body=zlib.compress(bytes(1000)))
    with pytest.raises(UserError, match=r"declares tiles or strips of 0.4 GB, of which \d+ bytes are there"):
        open_volumes(path)


def test_samples_of_65535_bits_are_no_numbers(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags[258].valueoffset
    content = bytearray(path.read_bytes())
    content[place : place + 2] = b"\xff\xff"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tif"):
        open_volumes(path)[0].load()


@pytest.fixture
def model(tmp_path):
    return segmenter(size=(0.65, 0.65), unit="um").save(tmp_path / "model")


def edited(model: Path, **changes) -> Path:
    content = json.loads((model / "model.json").read_text()) | changes
    (model / "model.json").write_text(json.dumps(content))
    return model


def test_a_model_file_of_gigabytes_is_not_read(model):
    os.truncate(model / "model.json", 9 * 10**9)
    before = peak()
    with pytest.raises(UserError, match=r"model.json has 9 GB, a model's has less than 0.07"):
        Segmenter.load(model)
    assert peak() - before < 0.1


def test_weights_that_declare_gigabytes_are_not_read(model):
    size = 32 * 10**9
    header = json.dumps({"a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    path = model / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, 8 + len(header) + size)
    before = peak()
    with pytest.raises(UserError, match=r"weights.safetensors has 32 GB, read are 8.6 at most"):
        Segmenter.load(model)
    assert peak() - before < 0.1


def test_weights_in_eight_bits_are_named(model):
    weights = Segmenter.load(model).network.state_dict()
    save_file({name: tensor.to(torch.float8_e4m3fn) for name, tensor in weights.items()}, model / "weights.safetensors")
    with pytest.raises(UserError, match="is stored as F8_E4M3, read are F64, F32"):
        Segmenter.load(model)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"voxel": {"size": [1e-300, 1e-300], "unit": "um"}}, "cannot be the size of a voxel"),
        ({"scale": [{"offset": 0, "gain": 1, "clip": [-1, 1]}] * 1000}, "contradicts itself"),
        ({"representation": {"kind": "ternary", "smallest": 1e300}}, "smallest = 1e[+]?300"),
    ],
)
def test_numbers_of_a_model_have_bounds(model, changes, says):
    with pytest.raises(UserError, match=says):
        Segmenter.load(edited(model, **changes))


def test_attention_over_a_whole_image_stays_small():
    spec = UNetSpec(ndim=2, out=3, widths=(8,), kernels=((3, 3),), strides=((1, 1),), non_local=True)
    made = segmenter(spec=spec, network=spec.build().eval().requires_grad_(False), representation=BCD())
    image = np.random.default_rng(0).integers(0, 2000, (32, 40)).astype(np.uint16)
    assert predict(made, volume(image)).labels.shape == image.shape
    before = peak()
    with torch.inference_mode():
        assert made.network(torch.zeros(1, 1, 160, 160)).shape == (1, 3, 160, 160)
    assert peak() - before < 2.0  # 2.6 GB at once for every pair of voxels


def test_attention_in_parts_is_that_of_the_whole(monkeypatch):
    from cytoshift.nets import transformer

    parts = [torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    whole = transformer.attention(*parts)
    monkeypatch.setattr(transformer, "ATTENTION_PAIRS", 2 * 50 * 7)
    torch.testing.assert_close(transformer.attention(*parts), whole)


SET = Public(
    name="cells", what="", licence="", cite="", page="http://page", files=(File("http://x/a.zip", "a.zip"),),
    rules=(Rule(r"images/(.+)\.tif", r"images/\1.tif"),),
)  # fmt: skip


def archive(path: Path, content: bytes = b"x" * 100) -> FetchedArchive:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images/a.tif", content)
    return FetchedArchive(path, "", True)


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    got = archive(tmp_path / "a.zip")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: usage._replace(free=99))
    with pytest.raises(UserError, match=r"unpacks to 1e-07 GB, .* left; free space, or choose another `out`"):
        unpack_archives(SET, [got], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_large_member_is_unpacked_in_pieces(tmp_path):
    got = archive(tmp_path / "a.zip", bytes(300_000_000))
    before = peak()
    unpack_archives(SET, [got], tmp_path / "out")
    assert (tmp_path / "out" / "images" / "a.tif").stat().st_size == 300_000_000
    assert peak() - before < 0.1


def test_a_large_member_that_has_to_be_changed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_BYTES", 99)
    with pytest.raises(UserError, match=r"images/a.tif of .* has 1e-07 GB, its images have less"):
        unpack_archives(replace(SET, grey=".*"), [archive(tmp_path / "a.zip")], tmp_path / "out")


@pytest.mark.parametrize(("place", "value"), [(6, 1), (8, 99)])  # encrypted; method 99
def test_an_archive_that_cannot_be_unpacked_is_a_sentence(place, value, tmp_path):
    got = archive(tmp_path / "a.zip")
    content = bytearray(got.path.read_bytes())
    for start, shift in ((content.index(b"PK\x03\x04"), 0), (content.index(b"PK\x01\x02"), 2)):
        content[start + place + shift] = value
    got.path.write_bytes(content)
    with pytest.raises(UserError, match=r"a.zip cannot be unpacked .*; it is not the archive that is meant"):
        unpack_archives(SET, [got], tmp_path / "out")


def test_checksums_of_another_type_are_a_sentence(tmp_path):
    from cytoshift.data.fetch import fetch_archive

    for content, says in (
        ({"a.zip": {"sha256": 5}}, r"holds no checksum of a.zip that can be read; remove the file"),
        ({"a.zip": 5}, "cannot be reached"),
    ):
        (tmp_path / "checksums.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match=says):
            fetch_archive(File("http://127.0.0.1:9/a.zip", "a.zip"), tmp_path, lambda have, total: None)


# Fault 8: a sentence.


@pytest.mark.parametrize(
    "card",
    [
        {"method": [3], "settings": 7, "objects": [1], "images": "x", "step": {"a": 1}, "intensities": 5, "ended": 3},
        {"objects": {"": {"diameter": {"50": "x"}}}}, {"objects": {"": 5}}, {"settings": {"source": 3, "data": 4}},
        {"objects": {"": {"diameter": {"5": 1, "50": -1}, "origin": 1, "objects": 1, "unit": 1}}}, {"step": 1e300},
    ],
)  # fmt: skip
def test_a_card_that_somebody_changed_costs_a_paragraph(card, model, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", CELLS, imagej=True, resolution=(1 / 0.65,) * 2, metadata={"unit": "um"})
    edited(model, card=card)
    code, said = run("segment", model, tmp_path / "a.tif", "-o", tmp_path / "o.tif")
    assert code == 0 and (tmp_path / "o.report.html").exists(), said
    code, said = run("trust", tmp_path / "o.tif", tmp_path / "a.tif", "--model", model)
    assert code == 0, said


@pytest.mark.parametrize(
    "number", [errno.ENAMETOOLONG, errno.ENOTDIR, errno.EIO, errno.ESTALE, errno.ELOOP, errno.EMFILE]
)
def test_what_the_disk_says_is_a_sentence(number):
    said = machine_limit(OSError(number, os.strerror(number), "a/b"))
    assert said is not None and said.startswith(f"cannot use a/b: {os.strerror(number)}; ")


def test_a_full_disk_in_a_training_is_a_sentence(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:778] . PytorchStreamWriter failed writing file data/0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"cannot write .*last.pt: .*failed writing file data/0; free space"):
        checkpoint.save(tmp_path / "last.pt", 1, 0.0, {})
    assert not list(tmp_path.iterdir())


# Fault 9: secrets, terminals, spreadsheets.


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@x", "\tx", "\rx", "-2+3", "=cmd|' /C calc'!A0", "'=x"])
def test_cells_are_no_formulas_and_come_back(text):
    assert escape_cell(text).startswith("'") and unescape_cell(escape_cell(text)) == text


@pytest.mark.parametrize("text", ["-3.5", "+1", "1e-05", "-1E+3", ".5", "-inf", "nan", "cells", "a=b", "it's", ""])
def test_numbers_and_names_stay_as_they_are(text):
    assert escape_cell(text) == text == unescape_cell(text)


@pytest.mark.parametrize("name", ["=1+1", "-x", "@cells", "+a"])
def test_names_that_are_formulas_stay_out_of_tables(name, model, tmp_path):
    for where in (f"{name}.tif", "b.tif"):
        (tmp_path / "in").mkdir(exist_ok=True)
        options = {"imagej": True, "resolution": (1 / 0.65,) * 2, "metadata": {"unit": "um"}}
        tifffile.imwrite(tmp_path / "in" / where, CELLS, **options)
    assert run("segment", model, tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    assert run("trust", tmp_path / "out", tmp_path / "in", "--model", model)[0] == 0
    for table in ("objects.csv", "trust.csv"):
        with (tmp_path / "out" / "report" / table).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["image"] for row in rows} == {f"'{name}", "b"}
        assert all(float(row["confidence"]) <= 1 for row in rows)
    assert {row[0] for row in Table.read(tmp_path / "out" / "report" / "objects.csv").rows} == {name, "b"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[2Jb", r"a\x1b[2Jb"), ("a\udcffb", r"a\xffb"), ("a\u202eb", r"a\u202eb"), ("\x9b31m", r"\x9b31m"),
     ("Zelle_ä 核", "Zelle_ä 核"), ("a\x7f\x00", r"a\x7f\x00"), ("a\nb", "a\nb")],
)  # fmt: skip
def test_what_commands_a_terminal_is_written_out(text, shown):
    assert make_printable(text) == shown and str(UserError(text)) == shown


@pytest.fixture
def server():
    pytest.importorskip("neuroglancer", reason="neuroglancer is not there: pip install 'cytoshift[view]'")
    from cytoshift.data.levels import CoarseLevel, PyramidVolume, add_strided_levels
    from cytoshift.view.layers import Layer
    from cytoshift.view.server import Server
    from cytoshift.view.virtual_zarr import VirtualZarr

    image = np.arange(60, dtype=np.uint8).reshape(6, 10)
    shown = add_strided_levels(PyramidVolume(volume(image), (CoarseLevel(image, (1.0, 1.0)),)))
    with Server([Layer(VirtualZarr(shown, "image"))]) as found:
        yield found


def posted(port: int, path: str, size: int) -> bytes:
    """The first line of the answer to a POST of so many bytes, as many of which are sent as are taken."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        try:
            for _ in range(0, size, 2**20):
                connection.sendall(bytes(2**20))
        except OSError:
            pass
        try:
            return connection.recv(100).split(b"\r\n")[0]
        except OSError:
            return b"closed"


def test_bodies_without_the_token_or_too_large_are_not_taken(server):
    """Fault 7."""
    before, port = peak(), server.server.port
    for path in ("/", "/nothing", "/state/" + "0" * 40, "/action/x", f"/state/{server.token[:-1]}"):
        assert posted(port, path, 300_000_000) in (b"HTTP/1.1 404 Not Found", b"closed")
    assert posted(port, f"/state/{server.token}", 300_000_000) in (b"HTTP/1.1 400 Bad Request", b"closed")
    assert peak() - before < 0.2


def test_digits_without_end_are_a_404_and_no_log_has_the_token(server, caplog):
    import urllib.error
    import urllib.request

    nines, place = "9" * 5000, f"http://127.0.0.1:{server.server.port}"
    for path in (f"/data/{server.token}/{nines}/zarr.json", f"/data/{server.token}/0/{nines}/zarr.json",
                 f"/data/{server.token}/0/0/c/0/{nines}"):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(place + path, timeout=60)
    assert "Traceback" not in caplog.text
    posted(server.server.port, f"/state/{server.token}", 100)  # no JSON: an uncaught error of neuroglancer's
    assert server.token not in caplog.text


def test_an_address_for_a_command_line_leads_in_once(server):
    import urllib.error
    import urllib.request

    address = server.address
    assert server.token not in address
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert server.token in answer.url
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address, timeout=60)


def test_the_token_is_not_in_the_command_line_of_a_screenshot(server, tmp_path, monkeypatch):
    from cytoshift.view import server as room

    seen = []

    class Browser:
        def __init__(self, command, **_):
            seen.append(command)
            page = Path(command[-1].removeprefix("file://"))
            assert server.token in page.read_text() and not page.stat().st_mode & 0o077

        def terminate(self): ...
        def wait(self): ...

    monkeypatch.setattr(room.subprocess, "Popen", Browser)
    monkeypatch.setattr(room, "PICTURE_SECONDS", 0.1)
    with pytest.raises(UserError) as caught:
        server.picture(tmp_path / "a.png", browser="browser")
    assert server.token not in " ".join(seen[0]) and server.token not in str(caught.value)


def test_a_command_line_is_safe_as_a_whole(tmp_path):
    """Bytes that are no UTF-8 and escape sequences in an argument, to a terminal that knows ASCII alone."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "cytoshift", "info", b"/nowhere/a\xff\x1b[2J.tif"]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 2 and b"\x1b" not in done.stderr and b"Traceback" not in done.stderr
    assert io.BytesIO(done.stderr).read().startswith(b"cytoshift: /nowhere/a\\xff\\x1b[2J.tif")


def test_the_size_of_a_voxel_has_bounds():
    for size in (1e-300, 1e300):
        with pytest.raises(UserError, match="cannot be the size of a voxel"):
            Voxel((size, size), "um")


@pytest.mark.parametrize("content", ["", "a,b\n1\n", "image,id\n\x00\n", b"\xff\xfe,b\n"])
def test_a_table_that_is_none_is_a_sentence(content, tmp_path):
    path = tmp_path / "objects.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"is not a table that 'cytoshift segment' wrote"):
        Table.read(path)


@pytest.mark.parametrize("facts", [{"kind": "segment", "found": 5}, {"kind": "segment", "images": {"each": [3]}}])
def test_facts_of_another_shape_are_a_sentence(facts, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "facts.json").write_text(json.dumps(facts))
    code, said = run("report", tmp_path)
    assert code == 2 and "holds facts that are not as Cytoshift writes them" in said


def test_objects_far_from_those_learnt_from_are_a_warning():
    from cytoshift.measure.shapes import ExpectedObjects, shapes
    from cytoshift.predict.calibration import mismatch_of_objects

    made = ExpectedObjects.of("labels of the source", Voxel((1.0, 1.0)), [shapes(LABELS, Voxel((1.0, 1.0)))])
    assert made is not None
    card, learnt = {"objects": {"": made.model_dump()}}, made.diameter["50"]
    for diameter in (4.9 * learnt, learnt / 4.9):
        assert mismatch_of_objects(card, "", diameter, "px") is None
    for diameter in (5.1 * learnt, learnt / 5.1):
        found = mismatch_of_objects(card, "", diameter, "px")
        assert found is not None and found.factor == pytest.approx(5.1)
        assert f"{diameter:.3g} px" in found.message and f"{learnt:.3g} px" in found.message
    assert mismatch_of_objects(card, "", 50 * learnt, "um") is None  # lengths of two units are not compared
    assert mismatch_of_objects({}, "", 50 * learnt, "px") is None and mismatch_of_objects(card, "", 0.0, "px") is None


@pytest.mark.parametrize("blocks", [(), ("--block", "48,48")])
def test_objects_twenty_times_off_are_asked_for(blocks, tmp_path):
    """Labels are kept, and the command fails unless it is told that all is meant."""
    from cytoshift.measure.shapes import ExpectedObjects, shapes

    tifffile.imwrite(tmp_path / "a.tif", CELLS)
    learnt = ExpectedObjects.of("labels of the source", Voxel((1.0, 1.0)), [shapes(LABELS, Voxel((1.0, 1.0)))])
    assert learnt is not None

    def segmented(factor: float, *more: str) -> tuple[int, str]:
        """By a model that learnt from objects so many times as large as those that are there."""
        wide = {key: factor * value for key, value in learnt.diameter.items()}
        card = {"objects": {"": learnt.model_copy(update={"diameter": wide}).model_dump()}}
        model = replace(taught(20), card=card).save(tmp_path / f"model{factor}")
        place = tmp_path / f"o{factor}{len(more)}{'.ome.zarr' if blocks else '.tif'}"
        code, said = run("segment", model, tmp_path / "a.tif", "-o", place, *blocks, *more)
        assert place.exists()
        return code, said

    code, said = segmented(10.0)
    assert code == 0 and "warning" in said and "times apart" in said
    code, said = segmented(60.0)
    assert code == 4 and "objects are 20 or more times larger or smaller" in said and "--any-voxel-size" in said
    assert segmented(60.0, "--any-voxel-size")[0] == 0


@pytest.mark.parametrize("factor", [19.0, 21.0])
def test_voxels_twenty_times_off_are_asked_for(factor, model, tmp_path):
    options = {"imagej": True, "resolution": (1 / (0.65 * factor),) * 2, "metadata": {"unit": "um"}}
    tifffile.imwrite(tmp_path / "a.tif", CELLS[:24, :24], **options)
    words = ("segment", model, tmp_path / "a.tif", "-o", tmp_path / "o.tif", "--tile", "64,64")
    code, said = run(*words)
    assert (code == 2) == (factor > 20) and f"{factor:g} times" in said
    if factor > 20:
        assert "--any-voxel-size" in said and run(*words, "--any-voxel-size")[0] == 0


def test_a_terminal_of_ascii_alone_shows_tables(tmp_path):
    tifffile.imwrite(tmp_path / "Zelle_ä.tif", CELLS, photometric="minisblack")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "cytoshift", "info", "Zelle_ä.tif", "-o", "t.png"]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0 and rb"Zelle_\xe4" in done.stdout, done.stderr
