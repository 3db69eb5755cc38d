"""What is served to a viewer is OME-Zarr that any reader takes, its ids have properties, and nobody else gets it."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.lazy_array import LazyArray
from cytoshift.core.voxel import Voxel
from cytoshift.data.channel_tiff import write_stack
from cytoshift.data.lazy import StridedArray
from cytoshift.data.levels import (
    CoarseLevel,
    PyramidVolume,
    add_strided_levels,
    open_pyramid,
    split_image,
    stack_frames,
)
from cytoshift.data.volumes import ImageSource, Volume, open_labels, open_volumes
from cytoshift.data.write import write_image, write_labels
from cytoshift.view.layers import Layer, colours, contrast, state
from cytoshift.view.properties import PropertyArray, properties
from cytoshift.view.virtual_zarr import LARGE_CHUNK, SMALL_CHUNK, VirtualZarr, chunk_shape

UM = Voxel((1.0, 0.4, 0.4), "um")


def volume(array: np.ndarray, voxel: Voxel | None = None, name: str = "cells") -> Volume:
    return Volume(name, array, "zyx"[-array.ndim :], voxel or Voxel((1.0,) * array.ndim), f"{name}, in memory")


def plain(array: np.ndarray, voxel: Voxel | None = None) -> PyramidVolume:
    return add_strided_levels(PyramidVolume(volume(array, voxel), (CoarseLevel(array, (1.0,) * array.ndim),)))


def written(served: VirtualZarr, folder):
    """All that a viewer could ask for, as files."""
    for number, level in enumerate(served.image.levels):
        grid = [range(-(-n // c)) for n, c in zip(level.array.shape, served.chunks[number])]
        paths = [f"{number}/zarr.json"]
        paths += [f"{number}/c/" + "/".join(map(str, i)) for i in np.ndindex(*map(len, grid))]
        for path in ["zarr.json", *paths]:
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(served.get(path)[0])
    return folder


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(70, 90), (5, 70, 90)])
def test_a_volume_is_served_as_ome_zarr_that_reads_back_the_same(tmp_path, shape, dtype):
    image = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    voxel = Voxel(UM.size[-len(shape) :], "um")
    (back,) = open_volumes(written(VirtualZarr(plain(image, voxel), "cells"), tmp_path / "s.ome.zarr"))
    assert back.voxel == voxel and back.axes == "zyx"[-len(shape) :]
    assert back.dtype == image.dtype and (back.load() == image).all()


def test_coarser_levels_lie_where_the_fine_ones_do(tmp_path):
    image = np.add.outer(np.arange(600), np.arange(600)).astype(np.uint16)
    folder = written(VirtualZarr(plain(image, Voxel((0.4, 0.4), "um")), "cells"), tmp_path / "s.ome.zarr")
    levels = [open_volumes(ImageSource(paths=str(folder), level=n))[0] for n in range(3)]
    assert [level.shape for level in levels] == [(600, 600), (300, 300), (150, 150)]
    assert [level.voxel.size[0] for level in levels] == [0.4, 0.8, 1.6]
    assert (levels[2].load() == image[::4, ::4]).all()


def test_a_files_own_levels_are_taken(tmp_path):
    image = np.random.default_rng(0).integers(0, 200, (513, 400)).astype(np.uint8)
    path = write_image(tmp_path / "a.ome.zarr", image, Voxel((0.4, 0.4), "um"), "yx")
    (found,) = open_pyramid(ImageSource(paths=str(path)))
    assert [level.array.shape for level in found.levels] == [(513, 400), (257, 200), (129, 100)]
    assert found.levels[1].factors == (2.0, 2.0) and add_strided_levels(found) is found
    assert (found.levels[0].array[...] == image).all()


def test_frames_are_an_axis_and_channels_are_layers(tmp_path):
    stack = np.random.default_rng(0).integers(0, 200, (2, 4, 20, 30)).astype(np.uint8)
    write_stack(tmp_path / "a.tif", stack, UM, "zyx", ("golgi", "nuclei"))
    (found,) = open_pyramid(ImageSource(paths=str(tmp_path / "a.tif"), channel=[0, 1]))
    parts = split_image(found)
    assert [(part.levels[0].array[...] == stack[c]).all() for c, part in enumerate(parts)] == [True, True]
    assert colours(2) == ["#ff00ff", "#00ff00"] and colours(1) == [None]
    served = VirtualZarr(add_strided_levels(stack_frames([parts[0], parts[1], parts[0]])), "frames")
    assert served.axes == "tzyx" and served.array(0)["shape"] == [3, 4, 20, 30]
    assert served.array(0)["dimension_names"] == list("tzyx")
    shown = state([Layer(served)], "http://127.0.0.1:1/data/x/0")
    assert shown["position"] == [15, 10, 2, 0] and list(shown["dimensions"]) == ["x", "y", "z", "t"]


def test_images_of_different_sizes_are_no_frames():
    with pytest.raises(UserError, match=r"2 images are shown as frames .* name one of them"):
        stack_frames([plain(np.zeros((4, 5))), plain(np.zeros((4, 6)))])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint64", "uint8", "bool"])
def test_ids_are_sent_as_what_a_browser_knows(dtype):
    served = VirtualZarr(plain(np.ones((8, 8), dtype)), "labels", labels=True)
    assert served.array(0)["data_type"] in ("uint8", "uint32", "uint64")
    assert np.frombuffer(served.chunk(0, (0, 0)), served.dtype).sum() == 64


def test_what_is_not_there_is_not_served():
    served = VirtualZarr(plain(np.zeros((70, 90), np.uint8)), "cells")
    for path in ("", "zarr", "9/zarr.json", "0/c/9/0", "0/c/0", "0/c/0/x", "0/../zarr.json", "../../etc/passwd"):
        with pytest.raises(KeyError):
            served.get(path)


class Stored(LazyArray):
    """An array in pieces that notes what is read."""

    shape, chunks, dtype = (), None, np.dtype("uint8")

    def __init__(self, shape, chunks):
        self.shape, self.chunks, self.read = shape, chunks, []

    def fetch(self, region):
        self.read.append(tuple(len(range(s.start, s.stop, s.step)) for s in region))
        return np.zeros(self.read[-1], np.uint8)


@pytest.mark.parametrize(
    ("shape", "stored"),
    [((50, 2000, 2000), (1, 2000, 2000)), ((900, 900, 900), (32, 32, 32)), ((9, 30000, 30000), (1, 30000, 30000)),
     ((9, 8000, 8000), (1, 1, 8000)), ((400, 400, 400), None), ((3, 900, 900), None)],
)  # fmt: skip
def test_chunks_are_whole_pieces_and_neither_many_nor_huge(shape, stored):
    chunk = chunk_shape(Stored(shape, stored), 3)
    assert all(c <= n for c, n in zip(chunk, shape)) and np.prod(chunk) <= LARGE_CHUNK
    assert np.prod(chunk) * 2 > SMALL_CHUNK
    if stored and np.prod(stored) <= LARGE_CHUNK:
        assert all(c % s == 0 or c == n for c, s, n in zip(chunk, stored, shape))


def test_a_lazy_volume_stays_lazy():
    stored = Stored((500, 5000, 5000), (1, 512, 512))
    image = plain(stored, UM)
    served = VirtualZarr(image, "cells")
    served.get("zarr.json")
    assert stored.read == []
    served.get("0/c/0/0/0")
    contrast(image)
    assert len(stored.read) == 2 and stored.read[1][0] == 1
    assert all(np.prod(box) <= LARGE_CHUNK for box in stored.read)


def test_every_so_manieth_voxel():
    array = np.arange(70).reshape(7, 10)
    view = StridedArray(array, (2, 3))
    assert view.shape == (4, 4) and (view[...] == array[::2, ::3]).all()
    assert (view[1:3, 2:4] == array[::2, ::3][1:3, 2:4]).all()
    assert (StridedArray(view, (2, 1))[1] == array[4, ::3]).all()


def tables(folder, name="a"):
    (folder / f"{name}.trust.csv").write_text("image,label,confidence,sure\nraw,1,0.9,1\nraw,2,0.25,0.5\n")
    (folder / f"{name}.objects.csv").write_text("image,id,volume_um3,confidence\nraw,1,40,0.7\nraw,2,30,0.6\n")


def test_tables_beside_labels_are_properties_of_ids(tmp_path):
    path = write_labels(tmp_path / "a.tif", np.array([[1, 0], [2, 2]]), Voxel((1.0, 1.0)), "yx")
    assert properties(str(path), "a", str(path)) is None
    tables(tmp_path)
    found = properties(str(path), "a", str(path))
    assert found.ids.tolist() == [1, 2]
    assert {name: [round(float(v), 3) for v in values] for name, values in found.columns.items()} == {
        "confidence": [0.9, 0.25], "sure": [1, 0.5], "volume_um3": [40, 30], "foreground": [0.7, 0.6],
    }  # fmt: skip
    said = json.loads(json.dumps(found.info()))
    assert said["inline"]["ids"] == ["1", "2"] and said["inline"]["properties"][0]["values"] == [0.9, 0.25]


def test_tables_of_a_folder_know_image_and_class(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "golgi").mkdir()
    (tmp_path / "report" / "objects.csv").write_text(
        "image,class,id,confidence\na,golgi,1,0.5\na,nuclei,1,0.9\nb,golgi,1,0.1\n"
    )
    path = write_labels(tmp_path / "golgi" / "a.tif", np.array([[1, 0]]), Voxel((1.0, 1.0)), "yx")
    found = properties(str(path), "a", str(path))
    assert found.ids.tolist() == [1] and found.columns["confidence"].tolist() == [0.5]


def test_properties_of_ome_zarr_are_read(tmp_path):
    import zarr

    image = write_image(tmp_path / "a.ome.zarr", np.zeros((4, 6), np.uint8), Voxel((1.0, 1.0)), "yx")
    write_labels(f"{image}::labels/cells", np.array([[1, 0, 7, 0, 0, 0]] * 4), Voxel((1.0, 1.0)), "yx")
    group = zarr.open_group(image / "labels" / "cells", mode="r+")
    said = dict(group.attrs["ome"])
    said["image-label"] = {"version": "0.5", "properties": [{"label-value": 7, "confidence": 0.4}]}
    group.attrs["ome"] = said
    (labels,) = open_labels(image)
    found = properties(str(image), labels.name, labels.origin)
    assert found.ids.tolist() == [7] and found.columns["confidence"] == np.float32(0.4)


def test_what_is_told_of_objects_lies_in_their_places():
    labels = np.array([[0, 3], [9, 4]])
    told = PropertyArray(labels, np.array([3, 9], np.uint64), np.array([0.5, 0.25], np.float32))
    assert told[...].tolist() == [[-1, 0.5], [0.25, -1]]


def test_numbers_that_are_missing_are_left_out(tmp_path):
    (tmp_path / "a.objects.csv").write_text("image,id,confidence,volume_um3\na,1,0.5,\na,2,,7\na,3,0.5,7\n")
    (tmp_path / "a.tif").touch()
    found = properties(str(tmp_path / "a.tif"), "a", "")
    assert found.info()["inline"]["ids"] == ["3"]


def test_contrast_is_that_of_the_middle_and_never_of_nothing():
    image = np.zeros((3, 100, 100), np.float32)
    image[1] = np.linspace(0, 1, 10_000).reshape(100, 100)
    image[1, 0, 0] = np.nan
    low, high = contrast(plain(image))
    assert low == pytest.approx(0.005, abs=1e-3) and high == pytest.approx(0.998, abs=1e-3)
    assert contrast(plain(np.full((9, 9), 7, np.uint8))) == (7, 8)


def fetched(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.status, answer.read(), dict(answer.headers)


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("neuroglancer", reason="neuroglancer is not there: pip install 'cytoshift[view]'")
    from cytoshift.view.server import Server

    image = plain(np.arange(60, dtype=np.uint8).reshape(6, 10), Voxel((0.5, 0.5), "um"))
    known = type("P", (), {"info": lambda self: {"@type": "x"}, "columns": {}})()
    labels = Layer(VirtualZarr(image, "labels", labels=True), known)
    with Server([Layer(VirtualZarr(image, "image")), labels]) as found:
        yield found


def test_the_server_listens_on_this_machine_alone_behind_its_token(server):
    assert server.url.startswith("http://127.0.0.1:") and server.token in server.url
    place = f"http://127.0.0.1:{server.server.port}/data/{server.token}"
    status, content, headers = fetched(f"{place}/0/0/c/0/0")
    assert status == 200 and list(content[:10]) == list(range(10))
    assert not any(name.lower().startswith("access-control") for name in headers)
    assert json.loads(fetched(f"{place}/1.properties/info")[1]) == {"@type": "x"}
    for wrong in (place.replace(server.token, "0" * 40) + "/0/zarr.json", f"{place}/7/zarr.json", f"{place}/0/none",
                  f"{place}/0.properties/info", f"http://127.0.0.1:{server.server.port}/v/{'0' * 40}/"):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetched(wrong)


def test_the_client_is_that_of_the_package(server):
    page = fetched(server.url)[1].decode()
    assert "neuroglancer" in page and "http" not in page


def test_a_damaged_chunk_is_said_once(server, monkeypatch):
    said = []

    def damaged(path):
        raise UserError("a.tif is damaged; copy it again")

    monkeypatch.setattr(server, "say", said.append)
    monkeypatch.setattr(server, "get", lambda number, properties, path: damaged(path))
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="500"):
            fetched(f"http://127.0.0.1:{server.server.port}/data/{server.token}/0/0/c/0/0")
    assert said == ["a.tif is damaged; copy it again"]


def test_an_image_that_is_removed_while_it_is_viewed_is_gone_and_not_black(tmp_path):
    pytest.importorskip("neuroglancer", reason="neuroglancer is not there: pip install 'cytoshift[view]'")
    from cytoshift.view.server import Server

    path = write_image(tmp_path / "a.ome.zarr", np.full((2100, 2100), 7, np.uint8), Voxel((1.0, 1.0)), "yx")
    said = []
    (image,) = open_pyramid(ImageSource(paths=str(path)))
    with Server([Layer(VirtualZarr(add_strided_levels(image), "a"))], say=said.append) as server:
        place = f"http://127.0.0.1:{server.server.port}/data/{server.token}/0"
        assert fetched(f"{place}/0/c/0/0")[1][0] == 7
        path.rename(tmp_path / "moved")
        for chunk in ("0/c/0/0", "1/c/0/0", "0/c/1/1"):
            with pytest.raises(urllib.error.HTTPError, match="410"):
                fetched(f"{place}/{chunk}")
        assert said == [f"{path} is there no longer; put it back, or open another"]
        (tmp_path / "moved").rename(path)
        assert fetched(f"{place}/0/c/0/0")[1][0] == 7


def test_a_port_that_is_taken_is_a_sentence():
    pytest.importorskip("neuroglancer", reason="neuroglancer is not there: pip install 'cytoshift[view]'")
    from cytoshift.view.server import Server

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"port {port} of 127.0.0.1 cannot be used .*; pass another `port`"),
            Server([Layer(VirtualZarr(plain(np.zeros((4, 4), np.uint8)), "image"))], port),
        ):
            pass


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch):
    from cytoshift.view.server import import_neuroglancer

    monkeypatch.setitem(sys.modules, "neuroglancer", None)
    with pytest.raises(UserError, match=r"is needed to look at images in a browser; pip install 'cytoshift\[view\]'"):
        import_neuroglancer()


def test_the_verb_prints_its_address_and_ends_with_ctrl_c(tmp_path):
    pytest.importorskip("neuroglancer", reason="neuroglancer is not there: pip install 'cytoshift[view]'")
    path = write_image(tmp_path / "a.tif", np.arange(60, dtype=np.uint8).reshape(6, 10), Voxel((1.0, 1.0)), "yx")
    command = [sys.executable, "-u", "-m", "cytoshift.cli.main", "view", str(path), "--no-browser"]
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # shells make jobs in the background deaf to it
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, preexec_fn=heard, **streams) as process:
        assert process.stdout.readline().strip() == "a"
        address = process.stdout.readline().strip()
        assert "neuroglancer" in fetched(address)[1].decode()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=120)[0]
    assert process.returncode == 0 and rest.strip() == "closed"
