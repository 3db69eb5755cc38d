"""`cytoshift doctor`: can this machine do the work, and what would make it better?"""

import os
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .doctor_places import free_disk, look_at_places, places_line

if TYPE_CHECKING:
    from torch import Tensor, dtype

COLUMN = 12
GIB = 2**30
# Where a wheel for another processor, numpy or system shows itself.
COMPILED = ("torch", "numba", "scipy.ndimage", "skimage.measure", "imagecodecs", "h5py", "zarr")
# Relative rms error of one convolution. fp32 leaves room for the TF32 of CUDA cards (10 bits of mantissa), bf16 has 8
# bits and must add up in fp32: wrong kernels are off by far more than either.
TOLERANCE = {"fp32": 2e-3, "bf16": 2e-2}
SLOW = 0.8  # bf16 at less than this share of the fp32 speed is worth a word


@dataclass(frozen=True)
class Convolution:
    """A 3x3(x3) convolution and both its gradients against float64, and how long it takes.

    error: relative rms error by precision; milliseconds: best of three, by precision.
    """

    device: str
    ndim: int
    error: dict[str, float]
    milliseconds: dict[str, float]

    @property
    def right(self) -> bool:
        return all(self.error[precision] <= limit for precision, limit in TOLERANCE.items())  # False for NaN too

    @property
    def bf16_speed(self) -> float:
        """How many times as fast as fp32."""
        return self.milliseconds["fp32"] / self.milliseconds["bf16"]


@dataclass
class Findings:
    """What the doctor saw. `problems` make the machine unusable, `advice` does not."""

    versions: dict[str, str | None] = field(default_factory=dict)  # None: not installed
    system: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Any] = field(default_factory=dict)  # that can be written
    convolutions: list[Convolution] = field(default_factory=list)
    extras: dict[str, list[str]] = field(default_factory=dict)  # what each optional part still lacks
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Look at versions, devices, memory and convolutions; say what is missing and how to get it.

    Exits with 1 where Cytoshift cannot work here.
    """
    findings = Findings(system=look_at_system())
    look_at_packages(findings)
    if not findings.problems:
        findings.devices = look_at_devices()
        findings.places = look_at_places(findings.problems, findings.advice)
        look_at_convolutions(findings)
    if as_json:
        import json

        typer.echo(json.dumps({"usable": not findings.problems, **asdict(findings)}, indent=2))
    else:
        for line in lines(findings):
            typer.echo(line)
    raise typer.Exit(1 if findings.problems else 0)


def look_at_packages(findings: Findings) -> None:
    """What the installed package declares to need, against what is there."""
    from packaging.requirements import Requirement

    findings.versions = {"python": platform.python_version(), "cytoshift": metadata.version("cytoshift")}
    extras = metadata.metadata("cytoshift").get_all("Provides-Extra") or []
    for requirement in map(Requirement, metadata.requires("cytoshift") or []):
        name, version = requirement.name, installed(requirement.name)
        fits = version is not None and requirement.specifier.contains(version, prereleases=True)
        extra = [e for e in extras if requirement.marker and requirement.marker.evaluate({"extra": e})]
        if extra:
            lacking = findings.extras.setdefault(extra[0], [])
            lacking += [] if fits else [name]
            continue
        findings.versions[name] = version
        if not fits:
            got = f"{name} is {version}" if version else f"{name} is missing"
            findings.problems.append(f"{got}, {requirement} is needed; pip install '{requirement}'")
    for module in COMPILED:
        try:
            import_module(module)
        except (ImportError, OSError) as error:
            reason = str(error).splitlines()[0]
            findings.problems.append(f"{module} does not load ({reason}); install Cytoshift into a new environment")


def installed(name: str) -> str | None:
    """Version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def look_at_system() -> dict[str, Any]:
    """Processor, memory and disk; sizes in GiB."""
    total = free = None
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    meminfo = Path("/proc/meminfo")
    if meminfo.exists() and (line := re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())):
        free = int(line[1]) * 1024 / GIB
    return {
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "total_memory_gib": total,
        "free_memory_gib": free,
        "free_disk_gib": free_disk(),
    }


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (line := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())):
        return line[1]
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if asked.returncode == 0:
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def look_at_devices() -> dict[str, Any]:
    """What torch can compute on, and with how many threads."""
    import torch

    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return {
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "bf16_instructions": bool(able.get("avx512_bf16") or able.get("amx_bf16")) if able else None,
        "amx": bool(able.get("amx_tile")) if able else None,
        "cuda": [{"name": card.name, "memory_gib": card.total_memory / GIB} for card in cards],
        "mps": torch.backends.mps.is_available(),
        "threads": torch.get_num_threads(),
        "thread_settings": {k: os.environ[k] for k in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if k in os.environ},
    }


def look_at_convolutions(findings: Findings) -> None:
    """Try every device in 2D and 3D: a release of torch has shipped slow and wrong bf16 convolutions in 3D before."""
    names = ["cpu", *(f"cuda:{i}" for i in range(len(findings.devices["cuda"])))]
    for device in names + ["mps"] * findings.devices["mps"]:
        for ndim in (2, 3):
            tried = try_convolution(device, ndim)
            findings.convolutions.append(tried)
            where = f"{ndim}D convolutions on {device}"
            if not tried.right:
                findings.problems.append(f"{where} are wrong (relative error {tried.error}); install another torch")
            elif tried.bf16_speed < SLOW:
                speed = f"{tried.bf16_speed:.2f} x the speed of fp32"
                findings.advice.append(f"{where} in bf16 have {speed}; set train.precision=32")


def try_convolution(device: str, ndim: int) -> Convolution:
    """One layer as a training step has it: 16 to 16 channels, forward and backward."""
    import torch

    numbers = torch.Generator().manual_seed(0)
    shape = (128, 128) if ndim == 2 else (24, 48, 48)
    image = torch.randn(2, 16, *shape, generator=numbers)
    weight = torch.randn(16, 16, *(3,) * ndim, generator=numbers) / (16 * 3**ndim) ** 0.5
    inputs, truth = {}, {}
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        # The truth starts from the numbers as rounded, so that only the arithmetic is judged.
        image, weight = image.to(kind), weight.to(kind)
        inputs[precision] = image, weight, device, kind
        truth[precision], _ = convolve(image, weight, "cpu", torch.float64)
        convolve(*inputs[precision])  # the first one warms up
    errors: dict[str, list[Tensor]] = {precision: [] for precision in inputs}
    milliseconds = dict.fromkeys(inputs, float("inf"))
    for _ in range(5):
        for precision, one in inputs.items():  # in turns, so that a busy moment hits both
            got, seconds = convolve(*one)
            errors[precision] += [relative_error(g, t) for g, t in zip(got, truth[precision])]
            milliseconds[precision] = min(milliseconds[precision], 1000 * seconds)
    # torch's maximum keeps a NaN where Python's may drop it.
    return Convolution(device, ndim, {p: float(torch.stack(e).max()) for p, e in errors.items()}, milliseconds)


def convolve(image: "Tensor", weight: "Tensor", device: str, kind: "dtype") -> tuple[list["Tensor"], float]:
    """The result and its gradients by image and weight (against a fixed direction), and the seconds they took."""
    import torch

    x, w = (t.detach().to(device, kind).requires_grad_() for t in (image, weight))
    direction = x.detach()
    convolution = torch.nn.functional.conv2d if x.ndim == 4 else torch.nn.functional.conv3d
    finish = torch.get_device_module(device).synchronize
    finish()
    start = time.perf_counter()
    out = convolution(x, w, padding=1)
    gradients = torch.autograd.grad(out, (x, w), direction)
    finish()
    seconds = time.perf_counter() - start
    return [t.detach().cpu().double() for t in (out, *gradients)], seconds


def relative_error(got: "Tensor", truth: "Tensor") -> "Tensor":
    """Rms difference over rms of the truth, a scalar."""
    return (got - truth).square().mean().sqrt() / truth.square().mean().sqrt()


def lines(findings: Findings) -> Iterator[str]:
    """The findings for a person."""
    named = [f"{name} {version or 'MISSING'}" for name, version in findings.versions.items()]
    yield from paragraph("versions", ", ".join(named))
    system = findings.system
    yield from paragraph("system", f"{system['platform']}; {system['cpu']}, {system['cores']} cores")
    memory = [f"{gib:.1f} GiB {what}" for what in ("free", "total") if (gib := system[f"{what}_memory_gib"])]
    disk = [f"{gib:.1f} GiB free in {path}" for path, gib in system["free_disk_gib"].items()]
    yield from paragraph("memory", ", ".join(memory) or "unknown")
    yield from paragraph("disk", ", ".join(disk))
    if findings.devices:
        yield from paragraph("devices", devices_line(findings.devices))
        yield from paragraph("places", places_line(findings.places))
    for tried in findings.convolutions:
        verdict = typer.style("right", fg="green") if tried.right else typer.style("WRONG", fg="red")
        yield from paragraph(
            f"conv{tried.ndim}d",
            f"{verdict} on {tried.device}: error fp32 {tried.error['fp32']:.0e}, bf16 {tried.error['bf16']:.0e};"
            f" {tried.milliseconds['fp32']:.1f} ms in fp32, bf16 {tried.bf16_speed:.2f} x as fast",
        )
    for extra, lacking in findings.extras.items():
        cure = f"lacks {', '.join(lacking)}; pip install 'cytoshift[{extra}]'" if lacking else "complete"
        yield from paragraph(f"[{extra}]", cure)
    for sentence in findings.advice:
        yield from paragraph("advice", sentence)
    for sentence in findings.problems:
        yield from paragraph("problem", typer.style(sentence, fg="red"))
    verdict = "Cytoshift cannot work here until the problems above are solved" if findings.problems else "ready"
    yield from paragraph("verdict", verdict)


def devices_line(devices: dict[str, Any]) -> str:
    """The processor's abilities, then the accelerators."""
    known = {True: "yes", False: "no", None: "unknown"}
    parts = [
        f"cpu with {devices['threads']} threads, {devices['vector_instructions']}",
        f"bf16 instructions: {known[devices['bf16_instructions']]}",
        f"AMX: {known[devices['amx']]}",
        *(f"{card['name']} with {card['memory_gib']:.0f} GiB" for card in devices["cuda"]),
    ]
    parts += ["Apple GPU (mps)"] * devices["mps"] or ["no GPU"] * (not devices["cuda"])
    return ", ".join(parts + [f"{name}={value}" for name, value in devices["thread_settings"].items()])


def paragraph(name: str, text: str) -> Iterator[str]:
    """A name in a column of its own, the text beside it."""
    first, *rest = textwrap.wrap(text, shutil.get_terminal_size().columns - COLUMN, break_on_hyphens=False)
    yield f"{name:{COLUMN}}{first}"
    yield from (" " * COLUMN + line for line in rest)
