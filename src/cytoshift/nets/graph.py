"""The shipped networks as ONNX graphs, written operator by operator.

`write_network` takes a trained network as it is: a norm or a gate that looks at the image it is given does so in the
graph too, and all sizes but the number of channels stay open. Not torch's exporter (dynamo, onnxscript 0.7.2): it takes
380 times as long (57 s of CPU for the U-Net of the tests), needs two more packages, and fails on a U-Net with all that
it can have. Its graph would run in 0.91 of the time.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .adain import EPS, AdaIN
from .chain import Chain, Lookup
from .nd import Axes, Pad
from .norms import FixedMean, FixedNorm
from .resnet import Residual as ResNetResidual
from .resnet import ResNetGenerator, Upsample
from .transformer import Transformer
from .translator import IMAGE, Translator, code
from .unet import SLOPE, Block, ConvNorm, NonLocal, UNet

if TYPE_CHECKING:
    import onnx

OPSET = 18  # read by onnxruntime since 1.14 and by every ONNX reader of 2023
MODES = {"replicate": "edge", "reflect": "reflect"}


class Graph:
    """Nodes in the order in which they are computed; a value is its name."""

    def __init__(self, ndim: int) -> None:
        self.ndim, self.count = ndim, 0
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        self.count += 1
        name = f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, value: Any) -> str:
        """A constant: 32 bits of what has a fraction, 64 of whole numbers."""
        from onnx import numpy_helper

        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        self.count += 1
        name = f"weight_{self.count}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def per_channel(self, values: Any) -> str:
        """(C,) as it is multiplied with or added to (B, C, *S)."""
        return self.weight(torch.as_tensor(values).reshape(1, -1, *[1] * self.ndim))

    def scale_and_shift(self, x: str, factor: Any, shift: Any) -> str:
        return self.op("Add", self.op("Mul", x, self.per_channel(factor)), self.per_channel(shift))

    def activation(self, x: str, slope: float | None) -> str:
        if slope is None:
            return x
        return self.op("LeakyRelu", x, alpha=slope) if slope else self.op("Relu", x)

    def conv(self, x: str, layer: Any) -> str:
        """A convolution, `Pad` and a convolution, or a transposed one."""
        if isinstance(layer, nn.Sequential):
            pad, layer = layer
            assert isinstance(pad, Pad), "a convolution in a row has its padding before it"
            ends = [0, 0, *pad.widths, 0, 0, *pad.widths]
            x = self.op("Pad", x, self.weight(ends), mode=MODES[pad.mode])
        names = [x, self.weight(layer.weight)] + ([] if layer.bias is None else [self.weight(layer.bias)])
        shape = {
            "kernel_shape": list(layer.kernel_size),
            "strides": list(layer.stride),
            "pads": list(layer.padding) * 2,
        }
        if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
            return self.op("ConvTranspose", *names, output_padding=list(layer.output_padding), **shape)
        return self.op("Conv", *names, **shape)

    def group_norm(self, x: str, norm: nn.GroupNorm) -> str:
        """Groups as channels of an instance norm."""
        groups, count = norm.num_groups, norm.num_channels
        flat = self.op("Reshape", x, self.weight([0, groups, -1]))
        ones = (self.weight(np.ones(groups, np.float32)), self.weight(np.zeros(groups, np.float32)))
        normal = self.op(
            "Reshape", self.op("InstanceNormalization", flat, *ones, epsilon=norm.eps), self.op("Shape", x)
        )
        weight = torch.ones(count) if norm.weight is None else norm.weight
        return self.scale_and_shift(normal, weight, torch.zeros(count) if norm.bias is None else norm.bias)

    def instance_norm(self, x: str, factor: Tensor, shift: Tensor) -> str:
        return self.op("InstanceNormalization", x, self.weight(factor), self.weight(shift), epsilon=EPS)

    def norm(self, x: str, layer: Any) -> str:
        """Of a U-Net. Batch norm without statistics is that of the one image that the graph is given."""
        if isinstance(layer, nn.GroupNorm):
            return self.group_norm(x, layer)
        if not isinstance(layer, FixedNorm):
            return self.instance_norm(x, layer.weight, layer.bias)
        factor = layer.get_parameter("weight") / torch.sqrt(layer.running_var + layer.eps)
        return self.scale_and_shift(x, factor, layer.get_parameter("bias") - layer.running_mean * factor)

    def upsample(self, x: str, stride: Axes) -> str:
        """`upsample_linear` to `stride` times the size: sample i lies on i * stride."""
        if max(stride) == 1:
            return x
        scales = self.weight(np.array([1, 1, *stride], np.float32))
        return self.op("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="asymmetric")

    def add_image(self, image: str, out: str, channels: int) -> str:
        """`nd.changed`."""
        start, at, end = self.weight([0]), self.weight([channels]), self.weight([2**31])
        axis = self.weight([1])
        first, rest = self.op("Slice", out, start, at, axis), self.op("Slice", out, at, end, axis)
        limits = (self.weight(np.float32(-0.999)), self.weight(np.float32(0.999)))
        drawn = self.op("Atanh", self.op("Clip", self.op("Add", image, first), *limits))
        return self.op("Concat", drawn, rest, axis=1)


def write_network(graph: Graph, network: nn.Module, x: str) -> str:
    """Add a network; x and the result are the names of (B, C, *S) and of (B, K, *S).

    Raises TypeError for a network that is none of those that are shipped.
    """
    if isinstance(network, UNet):
        return unet(graph, network, x)
    if isinstance(network, Translator):
        return translator(graph, network, x)
    if isinstance(network, ResNetGenerator):
        return resnet(graph, network, x)
    if isinstance(network, Chain):
        first = (
            lookup(graph, network.first, x)
            if isinstance(network.first, Lookup)
            else write_network(graph, network.first, x)
        )
        return write_network(graph, network.segment, graph.op("Tanh", first) if network.translates else first)
    raise TypeError(f"{type(network).__name__} is not a network of a model folder")


def unet(g: Graph, network: UNet, image: str) -> str:
    x, features = conv_norm(g, network.stem, image), []
    for part in network.down:
        x = level(g, part, x)
        features.append(x)
    if isinstance(network.non_local, NonLocal):
        features[-1] = attention(g, network.non_local, features[-1])
    if isinstance(network.transformer, Transformer):
        features[-1] = transformer(g, network.transformer, features[-1])
    x = bottom = features[-1]
    strides = network.spec.strides
    for i in reversed(range(len(network.up))):
        x = g.op("Add", g.upsample(conv_norm(g, network.narrow[i], x), strides[i + 1]), features[i])
        if network.spec.plus:
            lifted = conv_norm(g, network.plus[i], bottom)
            for stride in reversed(strides[i + 1 :]):
                lifted = g.upsample(lifted, stride)
            x = g.op("Add", x, lifted)
        x = level(g, network.up[i], x)
    out = g.conv(x, network.head)
    return g.add_image(image, out, 1) if network.spec.residual_image else out


def conv_norm(g: Graph, layer: Any, x: str) -> str:
    return g.activation(g.norm(g.conv(x, layer.conv), layer.norm), SLOPE if layer.active else None)


def level(g: Graph, parts: Any, x: str) -> str:
    for part in parts:
        x = conv_norm(g, part, x) if isinstance(part, ConvNorm) else block(g, part, x)
    return x


def block(g: Graph, layer: Block, x: str) -> str:
    out = x
    for part in layer.convs:
        out = conv_norm(g, part, out)
    if layer.gate is not None:
        gate: Any = layer.gate
        point = [1] * g.ndim
        if isinstance(layer.pool, FixedMean):
            mean = g.per_channel(layer.pool.mean)
        else:
            mean = g.op("ReduceMean", out, g.weight(list(range(2, 2 + g.ndim))), keepdims=1)
        first, last = (g.weight(gate[i].weight.reshape(*gate[i].weight.shape, *point)) for i in (0, 2))
        mean = g.op("LeakyRelu", g.op("Conv", mean, first), alpha=SLOPE)
        out = g.op("Mul", out, g.op("Sigmoid", g.op("Conv", mean, last)))
    return g.activation(g.op("Add", x, out), SLOPE)


def attention(g: Graph, layer: NonLocal, x: str) -> str:
    flat = g.weight([0, 0, -1])
    ask, key, value = (g.op("Reshape", g.conv(x, part), flat) for part in (layer.ask, layer.key, layer.value))
    ties = g.op("Softmax", g.op("MatMul", g.op("Transpose", ask, perm=[0, 2, 1]), key), axis=-1)
    seen = g.op("MatMul", value, g.op("Transpose", ties, perm=[0, 2, 1]))
    width = g.op("Concat", g.weight([0, layer.value.weight.shape[0]]), spatial_shape(g, x), axis=0)
    return g.op("Add", x, g.norm(g.conv(g.op("Reshape", seen, width), layer.back), layer.norm))


def transformer(g: Graph, network: Transformer, x: str) -> str:
    x = g.op("Add", x, g.conv(x, network.place))
    for part in network.layers:
        layer: Any = part
        width = layer.ask.weight.shape[0]
        flat = g.weight([0, layer.heads, width // layer.heads, -1])
        seen = channel_norm(g, x, layer.norms[0])
        ask, key, value = (g.op("Reshape", g.conv(seen, one), flat) for one in (layer.ask, layer.key, layer.value))
        ties = g.op("MatMul", g.op("Transpose", ask, perm=[0, 1, 3, 2]), key)
        ties = g.op("Softmax", g.op("Mul", ties, g.weight(np.float32(layer.scale))), axis=-1)
        found = g.op("MatMul", value, g.op("Transpose", ties, perm=[0, 1, 3, 2]))
        shape = g.op("Concat", g.weight([0, width]), spatial_shape(g, x), axis=0)
        x = g.op("Add", x, g.conv(g.op("Reshape", found, shape), layer.back))
        wide = g.conv(channel_norm(g, x, layer.norms[1]), layer.wide)
        share = g.op("Erf", g.op("Mul", wide, g.weight(np.float32(0.5**0.5))))
        share = g.op("Mul", g.op("Add", share, g.weight(np.float32(1))), g.weight(np.float32(0.5)))
        x = g.op("Add", x, g.conv(g.op("Mul", wide, share), layer.narrow))
    return x


def channel_norm(g: Graph, x: str, norm: Any) -> str:
    """Layer norm over the channels of each voxel."""
    axis = g.weight([1])
    centred = g.op("Sub", x, g.op("ReduceMean", x, axis, keepdims=1))
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), axis, keepdims=1)
    spread = g.op("Sqrt", g.op("Add", variance, g.weight(np.float32(1e-5))))
    return g.scale_and_shift(g.op("Div", centred, spread), norm.weight, norm.bias)


def spatial_shape(g: Graph, x: str) -> str:
    """The spatial part of a shape."""
    return g.op("Slice", g.op("Shape", x), g.weight([2]), g.weight([2 + g.ndim]), g.weight([0]))


def translator(g: Graph, network: Translator, x: str) -> str:
    encode: Any = network.encode
    decode: Any = network.decode
    like = decode.head[1].weight[:1]
    numbers = encode.affine(code(like, IMAGE))
    for layer, norm in zip(encode.convs, encode.norms):
        x = g.op("Relu", write_adain(g, g.conv(x, layer), norm, next(numbers)))
    styles = [(part, numbers) for part in encode.blocks]
    numbers = decode.style(network.mask_code(like))
    for part, own in styles + [(part, numbers) for part in decode.blocks]:
        out = g.op("Relu", write_adain(g, g.conv(x, part.convs[0]), part.norms[0], next(own)))
        x = g.op("Add", x, write_adain(g, g.conv(out, part.convs[1]), part.norms[1], next(own)))
    for layer, norm in zip(decode.convs, decode.norms):
        x = g.op("Relu", write_adain(g, g.conv(x, layer), norm, next(numbers)))
    return g.op("Mul", g.conv(x, decode.head), g.weight(np.float32(2)))


def write_adain(g: Graph, x: str, norm: AdaIN, affine: Tensor) -> str:
    """AdaIN with the affine numbers (1, 2 C) of a domain."""
    shift, scale = affine[0].chunk(2)
    if not norm.frozen:
        return g.instance_norm(x, 1 + scale, shift)
    factor = (1 + scale) * (norm.var + EPS).rsqrt()
    return g.scale_and_shift(x, factor, shift - norm.mean * factor)


def resnet(g: Graph, network: ResNetGenerator, image: str) -> str:
    net: Any = network.net
    out = g.conv(sequence(g, list(net.body), image), net.head)
    if network.spec.residual_image:
        out = g.add_image(image, out, network.spec.channels)
    return g.op("Mul", out, g.weight(np.float32(2))) if network.spec.mask else out


def sequence(g: Graph, parts: list[Any], x: str) -> str:
    for part in parts:
        if isinstance(part, ResNetResidual):
            x = g.op("Add", x, sequence(g, list(part.net), x))
        elif isinstance(part, nn.ReLU):
            x = g.op("Relu", x)
        elif isinstance(part, nn.InstanceNorm2d | nn.InstanceNorm3d):
            x = plain_norm(g, part, x)
        elif isinstance(part, nn.Sequential) and isinstance(part[0], Upsample):
            x = g.conv(g.upsample(x, part[0].stride), part[1])
        else:
            x = g.conv(x, part)
    return x


def plain_norm(g: Graph, norm: Any, x: str) -> str:
    if not norm.track_running_stats:
        return g.instance_norm(x, torch.ones(norm.num_features), torch.zeros(norm.num_features))
    factor = (norm.running_var + norm.eps).rsqrt()
    return g.scale_and_shift(x, factor, -norm.running_mean * factor)


def lookup(g: Graph, table: Lookup, x: str) -> str:
    """A sum over the pieces of the table: how far the value has come through each, times how steep that is."""
    knots, values = table.knots_in, table.knots_out
    through = g.op("Max", g.op("Min", x, g.per_channel(knots[1:])), g.per_channel(knots[:-1]))
    through = g.op("Sub", through, g.per_channel(knots[:-1]))
    steep = (values.diff() / knots.diff()).reshape(1, -1, *[1] * g.ndim)
    return g.op("Conv", through, g.weight(steep), g.weight(values[:1]))


def write_model(graph: Graph, channels: tuple[int, int], x: str, out: str, about: dict[str, str]) -> "onnx.ModelProto":
    """The finished file: from `image` (B, C, *S) to `channels` (B, K, *S); `about` goes with it as metadata."""
    from onnx import TensorProto, checker, helper

    names = list("zyx"[-graph.ndim :])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", count, *names])
        for name, count in zip(("image", "channels"), channels)
    ]
    start = helper.make_node("Identity", ["image"], [x])
    end = helper.make_node("Identity", [out], ["channels"])
    body = helper.make_graph([start, *graph.nodes, end], "cytoshift", ends[:1], ends[1:], graph.weights)
    # The oldest layout that has this operator set, so that older readers open it.
    made = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="cytoshift"
    )
    helper.set_model_props(made, about)
    checker.check_model(made)
    return made
