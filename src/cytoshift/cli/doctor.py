"""`cytoshift doctor`: can this machine do the work, and what would make it better?"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from . import inputs
from .console import conclude

COLUMN = 12  # characters of the names at the left
# Where a wheel for another processor, numpy or system shows itself.
COMPILED = ("torch", "numba", "scipy.ndimage", "skimage.measure", "imagecodecs", "h5py", "zarr")
GIB, MIB = 2**30, 2**20  # bytes
LITTLE_BYTES = 64 * MIB  # bytes of shared memory; docker's default


@dataclass
class Findings:
    """What the doctor saw. `problems` make the machine unusable, `advice` does not."""

    versions: dict[str, str | None] = field(default_factory=dict)  # None: not installed
    system: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Any] = field(default_factory=dict)  # that can be written
    networks: list[Any] = field(default_factory=list)  # doctor_networks.Tried
    extras: dict[str, list[str]] = field(default_factory=dict)  # what each optional part still lacks
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


Make = Annotated[
    str | None,
    typer.Option(help="Make the environment of a system of others instead: cellpose-sam, stardist, nnunet ..."),
]
Again = Annotated[bool, typer.Option("--again", help="With --make: make anew what is there.")]


def doctor(as_json: inputs.Json = False, make: Make = None, again: Again = False) -> None:
    """Check versions, devices and memory, and compute every kind of network. Say what is missing and how to get it.

    Exits with 1 where Cytoshift cannot work here. With --make, pip installs a system of others into an environment of
    its own in the user's cache, for 'cytoshift label' and benchmarks.
    """
    if make is not None:
        make_system(make, again, as_json)
        return
    findings = Findings(system=look_at_system())
    look_at_packages(findings)
    if not findings.problems:
        findings.devices = look_at_devices()
        findings.places = look_at_places(findings.problems, findings.advice)
        look_at_networks(findings)
    if as_json:
        conclude(True, "", verb="doctor", usable=not findings.problems, **asdict(findings))
    else:
        for line in lines(findings):
            typer.echo(line)
    raise typer.Exit(1 if findings.problems else 0)


def make_system(name: str, again: bool, as_json: bool) -> None:
    """The environment of a recipe, and what it still needs."""
    from ..predict.external_recipes import make_environment, read_recipe

    recipe = read_recipe(name)
    if not as_json:
        typer.echo(f"making an environment for {recipe.title} ({recipe.licence}): pip install {' '.join(recipe.pip)}")
    folder = make_environment(name, again)
    needs = f"; it needs {recipe.needs}" if recipe.needs else ""
    words = f"{recipe.title} is in {folder}{needs}; try: cytoshift label {name} IMAGES -o labels/"
    conclude(as_json, words, verb="doctor", made=name, folder=folder, needs=recipe.needs)


def look_at_packages(findings: Findings) -> None:
    """Compare the declared requirements of the package with what is installed."""
    from packaging.requirements import Requirement

    findings.versions = {"python": platform.python_version(), "cytoshift": metadata.version("cytoshift")}
    extras = metadata.metadata("cytoshift").get_all("Provides-Extra") or []
    for requirement in map(Requirement, metadata.requires("cytoshift") or []):
        name, version = requirement.name, installed_version(requirement.name)
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


def installed_version(name: str) -> str | None:
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
    from ..nets.formats import instructions

    return {
        "vector_instructions": instructions(),
        "bf16_instructions": bool(able.get("avx512_bf16") or able.get("amx_bf16")) if able else None,
        "amx": bool(able.get("amx_tile")) if able else None,
        "cuda": [{"name": card.name, "memory_gib": card.total_memory / GIB} for card in cards],
        "mps": torch.backends.mps.is_available(),
        "threads": torch.get_num_threads(),
        "thread_settings": {k: os.environ[k] for k in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if k in os.environ},
    }


def look_at_networks(findings: Findings) -> None:
    """Compute every kind of network on every device, by each way, against float64.

    A fast way that is wrong is not used, which is advice; without a right way nothing works.
    """
    from .doctor_networks import networks

    for device in ["cpu", *(f"cuda:{i}" for i in range(len(findings.devices["cuda"])))]:
        for one in networks(device):
            findings.networks.append(one)
            where = f"the {one.kind} in {one.ndim}D on {device}"
            if one.predicts is None or one.trains is None:
                findings.problems.append(
                    f"{where} is wrong by every way ({', '.join(one.wrong_ways)}); install another torch"
                )
            elif one.wrong_ways:
                findings.advice.append(
                    f"{where} is wrong by {', '.join(one.wrong_ways)}; it is computed by '{one.predicts}' and "
                    f"trained in {one.trains}"
                )


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
    for tried in findings.networks:
        yield from paragraph(f"{tried.kind} {tried.ndim}D", network_line(tried))
    for extra, lacking in findings.extras.items():
        cure = f"lacks {', '.join(lacking)}; pip install 'cytoshift[{extra}]'" if lacking else "complete"
        yield from paragraph(f"[{extra}]", cure)
    for sentence in findings.advice:
        yield from paragraph("advice", sentence)
    for sentence in findings.problems:
        yield from paragraph("problem", typer.style(sentence, fg="red"))
    yield from paragraph("verdict", verdict(findings))


def network_line(tried: Any) -> str:
    """The errors and times of each way to compute, and which way will be used."""
    ways = ", ".join(f"{way} {error:.0e} in {tried.milliseconds[way]:.1f} ms" for way, error in tried.errors.items())
    gradients = ", ".join(f"{name} {cosine:.3f}" for name, cosine in tried.cosines.items())
    right = typer.style("right", fg="green") if not tried.wrong_ways else typer.style("WRONG", fg="red")
    return (
        f"{right} on {tried.device}: predicts by {tried.predicts}, trains in {tried.trains}; errors {ways}; gradients "
        f"{gradients}"
    )


def verdict(findings: Findings) -> str:
    """The last line: whether it works here, and how networks are computed."""
    if findings.problems:
        return "Cytoshift cannot work here until the problems above are solved"
    used = sorted({f"{one.predicts} on {one.device}" for one in findings.networks})
    trained = sorted({f"{one.trains} on {one.device}" for one in findings.networks})
    return f"ready; networks predict by {', '.join(used)} and train in {', '.join(trained)}"


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


def look_at_places(problems: list[str], advice: list[str]) -> dict[str, Any]:
    """Try a compiled loop, and find out what can be written.

    Parameters
    ----------
    problems, advice
        Get a sentence, with its cure, for what is wrong and for what could be better.

    Returns
    -------
    dict
        compiled_code: the folder, or None where nothing is kept. shared_memory_mib: what is free, None without a limit.
    """
    from ..core.compiled import cache_folder
    from ..core.machine import shared_memory

    kept, shared = cache_folder(), shared_memory()
    if wrong := wrong_loops():
        problems.append(f"numba does not compile ({wrong}); install Cytoshift into a new environment")
    if kept is None:
        advice.append(
            "no folder for compiled code can be written, so each command compiles its loops anew, which takes up to a "
            "minute; set NUMBA_CACHE_DIR to a folder that you may write to"
        )
    if shared is not None and shared < LITTLE_BYTES:
        advice.append(
            f"shared memory (/dev/shm) has {shared / MIB:.3g} MiB free, and train.workers may need more; leave "
            "train.workers at 0, or enlarge it (docker run --shm-size=1g)"
        )
    return {
        "compiled_code": None if kept is None else str(kept),
        "shared_memory_mib": None if shared is None else shared / MIB,
    }


def wrong_loops() -> str:
    """What is wrong with a loop that is compiled, or loaded, and run; "" where it counts right."""
    import numpy as np

    try:
        from ..labels.kernels import count_pairs

        ones, others = np.array([0, 1, 1, 2], np.uint32), np.array([5, 5, 5, 7], np.uint32)
        counts = sorted(count_pairs(ones, others)[2].tolist())
    except Exception as error:  # whatever a broken compiler raises is the finding
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return "" if counts == [1, 1, 2] else f"it counts {counts} where [1, 1, 2] is right"


def free_disk() -> dict[str, float]:
    """GiB that are free in this folder and in the one for temporary files."""
    found = {}
    for place in (os.getcwd, tempfile.gettempdir):
        try:
            path = place()
            found[path] = shutil.disk_usage(path).free / GIB
        except OSError:  # a folder that was removed, or none for temporary files that can be written
            continue
    return found


def places_line(places: dict[str, Any]) -> str:
    shared = places["shared_memory_mib"]
    return ", ".join([
        f"compiled code in {places['compiled_code']}" if places["compiled_code"] else "compiled code is not kept",
        f"{shared:.3g} MiB of shared memory free" if shared is not None else "shared memory without a limit",
    ])  # fmt: skip
