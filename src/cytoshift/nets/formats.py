"""Which number format a device computes fast in."""

import os

import torch

from ..core.machine import processor

CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")  # by which oneDNN is told to do without newer instructions


def computes_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than 32 bits on a device.

    So it is on CUDA cards since compute capability 8, on processors with AMX, and on those of AMD with AVX-512 bf16.
    Intel's AVX-512 bf16 alone is no faster than 32 bits (docs/precision.md); without either, bfloat16 is emulated.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    return instructions() == "AMX" or (instructions() == "AVX-512 bf16" and "AMD" in processor())


def cap() -> str:
    """The newest instructions that oneDNN may use; "ALL" where nothing limits them."""
    return next((os.environ[name].upper() for name in CAPS if os.environ.get(name)), "ALL")


def instructions() -> str:
    """What oneDNN computes with on this processor: "AMX", "AVX-512 bf16", "AVX-512", "AVX2", or what torch calls it."""
    if not hasattr(torch.cpu, "get_capabilities"):
        return torch.backends.cpu.get_cpu_capability()
    able, limit = torch.cpu.get_capabilities(), cap()
    free = limit in ("ALL", "DEFAULT")
    if able.get("amx_bf16") and (free or "AMX" in limit):
        return "AMX"
    if able.get("avx512_bf16") and (free or any(word in limit for word in ("BF16", "FP16", "AMX", "AVX10"))):
        return "AVX-512 bf16"
    if able.get("avx512_f") and (free or "AVX512" in limit or "AVX10" in limit):
        return "AVX-512"
    return "AVX2" if able.get("avx2") else torch.backends.cpu.get_cpu_capability()
