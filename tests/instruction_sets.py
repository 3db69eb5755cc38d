"""What test_instruction_sets.py runs in a process of its own, under one limit of oneDNN's instructions.

    ONEDNN_MAX_CPU_ISA=AVX2 python tests/instruction_sets.py LABELS.npy WEIGHTS

Prints, as JSON, every kind of network by each way against float64, and what a segmenter with these weights comes to.
"""

import json
import sys

import numpy as np
import torch

from cytoshift.cli.doctor_networks import networks
from cytoshift.core import threads
from cytoshift.nets.formats import instructions
from cytoshift.predict.pipeline import Options, predict
from cytoshift.predict.ways import proof_of
from predicting import nuclei, segmenter, volume


def main() -> None:
    threads.THREADS = 1  # several of these run at once
    raw, truth = nuclei((160, 160), 60, 11)
    made = segmenter()
    made.network.load_state_dict(torch.load(sys.argv[2], weights_only=True))
    found = predict(made, volume(raw), Options()).labels
    np.save(sys.argv[1], found)
    both = 2 * ((found > 0) & (truth > 0)).sum() / ((found > 0).sum() + (truth > 0).sum())
    print(json.dumps({
        "instructions": instructions(), "way": proof_of(made).way, "dice": float(both),
        "networks": [
            {"kind": one.kind, "ndim": one.ndim, "wrong": one.wrong_ways,
             "predicts": one.predicts, "trains": one.trains}
            for one in networks("cpu")
        ],
    }))  # fmt: skip


if __name__ == "__main__":
    main()
