"""CZI, ND2 and LIF, made here by hand; each test runs where the extra `formats`, or `czi`, is installed."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from cytoshift.core.errors import UserError
from cytoshift.core.voxel import Voxel
from cytoshift.data.volumes import image_source, open_volumes

IMAGE = np.arange(2 * 5 * 40 * 50, dtype=np.uint16).reshape(2, 5, 40, 50)  # c z y x
VOXEL = Voxel((1.0, 0.2, 0.2), "um")


def czi(path: Path) -> None:
    writer = pytest.importorskip("pylibCZIrw.czi")
    with writer.create_czi(str(path)) as file:
        for c, z in np.ndindex(2, 5):
            file.write(data=IMAGE[c, z][..., None], plane={"C": c, "Z": z, "T": 0})
        names = {0: "DAPI", 1: "GFP"}
        file.write_metadata(document_name="a", channel_names=names, scale_x=2e-7, scale_y=2e-7, scale_z=1e-6)


def lif(path: Path) -> None:
    """Header with the XML, then one empty and one full block of memory."""
    count, (z, y, x) = IMAGE[0].nbytes, IMAGE.shape[1:]
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" Min="0" Max="65535" Unit="" LUTName="{name}" '
        f'NameOfMeasuredQuantity="" IsLUTInverted="0" BytesInc="{i * count}" BitInc="0"/>'
        for i, name in enumerate(("DAPI", "GFP"))
    )
    sides = ((1, x, 2e-7, 2), (2, y, 2e-7, 2 * x), (3, z, 1e-6, 2 * x * y))
    dimensions = "".join(
        f'<DimensionDescription DimID="{number}" NumberOfElements="{n}" Origin="0" Length="{size * (n - 1):.9e}" '
        f'Unit="m" BitInc="0" BytesInc="{step}"/>'
        for number, n, size, step in sides
    )
    image = f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions>"
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="a"><Data/><Memory Size="0" MemoryBlockID="MemBlock_0"/>'
        f'<Children><Element Name="s"><Data><Image><ImageDescription>{image}</ImageDescription></Image></Data>'
        f'<Memory Size="{IMAGE.nbytes}" MemoryBlockID="MemBlock_1"/><Children/></Element></Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")

    def block(name: str, data: bytes) -> bytes:
        body = struct.pack("<BQBI", 0x2A, len(data), 0x2A, len(name)) + name.encode("utf-16-le")
        return struct.pack("<II", 0x70, len(body)) + body + data

    header = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    path.write_bytes(header + block("MemBlock_0", b"") + block("MemBlock_1", IMAGE.tobytes()))


def nd2(path: Path, calibrated: bool = True) -> None:
    """Chunks of metadata and of one plane each, channels interleaved, then the map of the chunks."""

    def xml(**values: object) -> str:
        kinds = {int: "lx_uint32", float: "double", str: "CLxStringW", bool: "bool"}
        return "".join(
            f"<{k}>{xml(**v)}</{k}>" if isinstance(v, dict) else f'<{k} runtype="{kinds[type(v)]}" value="{v}"/>'
            for k, v in values.items()
        )

    chunks: list[tuple[bytes, bytes]] = []
    plane = {"uiCompCount": 1, "pFluorescentProbe": {"m_sName": "dye"}}
    planes = {f"a{i}": {"sDescription": name, **plane} for i, name in enumerate(("DAPI", "GFP"))}
    picture = {"bCalibrated": calibrated, "dCalibration": 0.2, "sPicturePlanes": {"uiCount": 2, "sPlaneNew": planes}}
    sizes = {"uiWidth": 50, "uiHeight": 40, "uiWidthBytes": 200, "uiComp": 2, "uiSequenceCount": 5}
    for name, values in (
        (b"ImageAttributesLV!", {**sizes, "uiBpcInMemory": 16, "uiBpcSignificant": 16, "eCompression": 2}),
        (b"ImageMetadataSeqLV|0!", picture),
        (b"ImageMetadataLV!", {"eType": 4, "uLoopPars": {"uiCount": 5, "dZStep": 1.0}}),
    ):
        chunks.append((name, f'<variant version="1.0">{xml(**values)}</variant>'.encode()))
    chunks.append((b"CustomData|AcqTimesCache!", np.arange(5.0).tobytes()))
    for z in range(5):
        chunks.append((b"ImageDataSeq|%d!" % z, bytes(8) + np.moveaxis(IMAGE[:, z], 0, -1).tobytes()))
    magic, signature = 0x0ABECEDA, b"ND2 CHUNK MAP SIGNATURE 0000001!"
    content = struct.pack("<IIQ32s64s", magic, 32, 64, b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0")
    directory = b""
    for name, data in chunks:
        directory += name + struct.pack("<QQ", len(content), len(data))
        content += struct.pack("<IIQ4072s", magic, 4072, len(data), name) + data
    directory += signature
    end = struct.pack("<IIQ32s", magic, 32, len(directory), b"ND2 FILEMAP SIGNATURE NAME 0001!") + directory
    path.write_bytes(content + end + struct.pack("<32sQ", signature, len(content)))


@pytest.mark.filterwarnings("ignore")  # what the libraries of others warn of is theirs
@pytest.mark.parametrize("make", [czi, lif, nd2], ids=lambda make: make.__name__)
def test_vendor_format(make, tmp_path):
    pytest.importorskip(f"bioio_{make.__name__}")
    path = tmp_path / f"a.{make.__name__}"
    make(path)
    with pytest.raises(UserError, match="has 2 channels, but one is needed; pass `channel` with one of 0 DAPI, 1 GFP"):
        open_volumes(path)
    (volume,) = open_volumes(image_source(path, channel=1))
    assert (volume.name, volume.axes, volume.dtype, volume.voxel) == ("a", "zyx", np.uint16, VOXEL)
    assert (volume.load() == IMAGE[1]).all()
    assert (volume.array[1:4:2, 7, 3:9] == IMAGE[1, 1:4:2, 7, 3:9]).all()
    assert (pickle.loads(pickle.dumps(volume)).array[2] == IMAGE[1, 2]).all()
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UserError, match="cut short"):
        open_volumes(path)


@pytest.mark.filterwarnings("ignore")
def test_nd2_without_calibration_is_not_one_micrometre(tmp_path):
    pytest.importorskip("bioio_nd2")
    nd2(tmp_path / "a.nd2", calibrated=False)
    with pytest.raises(UserError, match="voxel size along y, x of"):
        open_volumes(image_source(tmp_path / "a.nd2", channel=1))
