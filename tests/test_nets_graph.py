"""ONNX graphs give what the networks give, at any size and batch; the tolerance is that of 32 bits."""

import numpy as np
import pytest
import torch

from cytoshift.nets.graph import Graph, write_model, write_network
from test_nets_folded import SPECS, image, trained

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TOLERANCE = 1e-3  # of logits; a few dozen layers in 32 bits, summed in another order


def outputs(network, spec) -> int:
    return network(image(spec)).shape[1]


@pytest.mark.parametrize("name", SPECS)
def test_a_graph_gives_what_the_network_gives(name):
    spec = SPECS[name]
    network, graph = trained(spec), Graph(spec.ndim)
    with torch.inference_mode():
        out = write_network(graph, network, "x")
        made = write_model(graph, (spec.channels, outputs(network, spec)), "x", out, {"axes": "zyx"[-spec.ndim :]})
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        for x in (image(spec), torch.cat([image(spec)] * 2, -2)[:1] * 0.7):
            found = session.run(None, {"image": x.numpy()})[0]
            np.testing.assert_allclose(found, network(x).numpy(), atol=TOLERANCE, rtol=TOLERANCE)
    assert session.get_modelmeta().custom_metadata_map == {"axes": "zyx"[-spec.ndim :]}


def test_what_is_no_network_of_ours_is_refused():
    with pytest.raises(TypeError, match="Linear is not a network of a model folder"):
        write_network(Graph(2), torch.nn.Linear(1, 1), "x")
