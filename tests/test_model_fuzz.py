"""A model folder is data: whatever is in it, loading gives a model or one sentence, soon, and never runs anything."""

import ast
import contextlib
import io
import json
import os
import pickle
import resource
import shutil
import struct
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from cytoshift.core.errors import UserError
from cytoshift.model import Segmenter
from cytoshift.nets.unet import UNetSpec
from cytoshift.represent import BCD
from predicting import segmenter

SECONDS, MEGABYTES = 5, 300  # of the thread that loads: what a busy machine lets wait, or others spin, is not counted
SOURCE = Path(__file__).parents[1] / "src" / "cytoshift"
calm = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def unet() -> Segmenter:
    spec = UNetSpec(ndim=2, out=3, widths=(8, 8), kernels=((3, 3),) * 2, strides=((1, 1), (2, 2)))
    return segmenter(spec=spec, network=spec.build().eval(), representation=BCD())


@pytest.fixture(scope="module", params=["translator", "unet"])
def whole(request, tmp_path_factory):
    made = unet() if request.param == "unet" else segmenter()
    return made.save(tmp_path_factory.mktemp(request.param) / "model")


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "model"))


def loads(folder: Path) -> bool:
    """Whether it is a model; if not, one sentence says why. Nothing else may come out, nor much time or memory."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    loaded = None
    try:
        loaded = Segmenter.load(folder)
    except UserError as error:
        assert str(error).strip() and "\n" not in str(error), str(error)
        assert len(str(error)) < 2000
    assert time.thread_time() - started < SECONDS
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown / (1 if sys.platform != "darwin" else 1024) < MEGABYTES * 1024
    return loaded is not None


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8),
    st.lists(st.integers(-3, 10**12), max_size=4), st.dictionaries(st.text(max_size=4), st.integers(), max_size=3),
    st.sampled_from([
        "../../etc/passwd", "__import__('os').system('true')", "!!python/object/apply:os.system ['true']",
        10**9, 2**31, 1e308, -1, 0, [[]], [[1] * 3] * 40, {"kind": "unet"}, {"kind": "chain"}, [10**6] * 3,
    ]),
)  # fmt: skip


def places(value, path=()):
    """Every place in nested JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@calm
@given(data=st.data())
def test_any_value_of_the_json_may_be_anything(folder, whole, data):
    content = json.loads((whole / "model.json").read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        content = replaced(content, data.draw(st.sampled_from(list(places(content)))), data.draw(ODD))
        if not isinstance(content, dict):
            break
    (folder / "model.json").write_text(json.dumps(content))
    loads(folder)


@calm
@given(data=st.data())
@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_any_bytes_may_be_lost_or_flipped(folder, whole, name, data):
    content = bytearray((whole / name).read_bytes())
    near = min(len(content), 4000) if data.draw(st.booleans()) else len(content)  # headers are what is read with care
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, near - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, near))]
    (folder / name).write_bytes(bytes(content))
    loads(folder)


def header(text: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95",
        header(b"{}", length=2**63),
        header(b"{}", length=10**12),
        header(b"[" * 100_000),
        header(b'{"a":' * 50_000),
        header(b'{"a":{"dtype":"F32","shape":[1000000,1000000,1000000],"data_offsets":[0,4]}}', b"\0" * 4),
        header(b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'),
        header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', b"\0" * 4),
        header(b'{"a":{"dtype":"XXX","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4),
        header(b'{"../../a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4),
        header(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"\0" * 4),
        header(b'{"__metadata__":{"a":1}}'),
        header(b"\xff\xfe"),
    ],
)
def test_headers_that_lie(folder, content):
    (folder / "weights.safetensors").write_bytes(content)
    assert not loads(folder)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"format": 1, "axes": ' + "[" * 100_000, "1" * 10_000, "NaN", '{"format": 1e999}']
)
def test_json_that_is_deep_or_long(folder, text):
    (folder / "model.json").write_text(text)
    assert not loads(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_named(folder, value):
    weights = load_file(folder / "weights.safetensors")
    name = sorted(name for name, tensor in weights.items() if tensor.is_floating_point())[-1]
    weights[name].view(-1)[0] = value
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(UserError, match=f"'{name}' holds values that are no numbers"):
        Segmenter.load(folder)


def test_weights_that_are_missing_or_of_another_shape_are_named(folder):
    weights = load_file(folder / "weights.safetensors")
    for name in sorted(weights)[::4]:
        for changed in (None, weights[name][None], weights[name].to(torch.int32)):
            rest = {n: t for n, t in weights.items() if n != name} | ({} if changed is None else {name: changed})
            save_file(rest, folder / "weights.safetensors")
            with pytest.raises(UserError, match=f"'{name}'"):
                Segmenter.load(folder)


@pytest.mark.parametrize(
    "network",
    [
        {"widths": [8] * 10_000}, {"widths": [2**40] * 2}, {"stem": 2**31 + 1}, {"blocks": 10**9}, {"channels": 2**62},
        {"out": 2**62}, {"groups": 2**62}, {"se": 2**62}, {"widths": [8, 2**62]},
    ],
)  # fmt: skip
def test_sizes_of_a_network_that_nobody_has(tmp_path, network):
    folder = unet().save(tmp_path / "model")
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | {"network": content["network"] | network}))
    assert not loads(folder)


@pytest.mark.parametrize(
    "network", [{"blocks": 10**9}, {"width": 2**62}, {"hidden": 2**62}, {"stem": 2**40}, {"stem": 2}]
)
def test_sizes_of_a_translator_that_nobody_has(tmp_path, network):
    folder = segmenter().save(tmp_path / "model")
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | {"network": content["network"] | network}))
    assert not loads(folder)


def test_a_pickle_under_either_name_is_not_opened(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    for name in ("weights.safetensors", "model.json"):
        for write in (pickle.dumps, pickled_by_torch):
            before = (folder / name).read_bytes()
            (folder / name).write_bytes(write(Trap()))
            assert not loads(folder)
            (folder / name).write_bytes(before)
    assert not (tmp_path / "sprung").exists()
    with contextlib.suppress(pickle.UnpicklingError):
        torch.load(io.BytesIO(pickled_by_torch(Trap())), weights_only=True)
    assert not (tmp_path / "sprung").exists()


def pickled_by_torch(what) -> bytes:
    buffer = io.BytesIO()
    torch.save(what, buffer)
    return buffer.getvalue()


def test_folders_that_lead_elsewhere_or_hold_folders(folder, tmp_path):
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").mkdir()
    assert not loads(folder)
    (folder / "weights.safetensors").rmdir()
    (folder / "weights.safetensors").symlink_to("/dev/null")
    assert not loads(folder)
    (folder / "model.json").unlink()
    (folder / "model.json").symlink_to(tmp_path / "nowhere")
    assert not loads(folder)


def calls(tree: ast.AST):
    """Every call in a file, with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


def test_no_pickle_anywhere_in_the_source():
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = {
            alias.name for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
        }  # fmt: skip
        assert names.isdisjoint({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}), path
        for name, keywords in calls(tree):
            assert name not in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "torch.jit.load"), (path, name)
            assert name != "torch.load" or keywords.get("weights_only") == "True", path
            assert name != "np.load" or keywords.get("allow_pickle") == "False", path


@calm
@given(data=st.data())
def test_a_damaged_checkpoint_is_a_sentence(tmp_path, data):
    from cytoshift.train import checkpoint

    net, path = torch.nn.Linear(3, 3), tmp_path / "last.pt"
    checkpoint.save(path, 1, 0.5, {"net": net, "monitor": net})
    assert checkpoint.load(path, {"net": net}) == (1, 0.5)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
            content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    with contextlib.suppress(UserError):  # bytes between the parts of the file say nothing
        assert checkpoint.load(path, {"net": net}) == (1, 0.5)
    path.write_bytes(data.draw(st.binary(max_size=100)))
    with pytest.raises(UserError, match="is not a file that a training wrote"):
        checkpoint.load(path, {"net": net})
