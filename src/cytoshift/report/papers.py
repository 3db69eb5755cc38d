"""Which papers a result rests on: short names for the text, BibTeX to copy."""

import re
from functools import cache
from importlib.resources import files

# The paper of the method first, then what it builds on.
METHODS: dict[str, tuple[str, ...]] = {
    "adgan": ("yao2021adgan",),
    "cysgan": ("lauenburg2023cysgan",),
    "supervised": ("ronneberger2015unet",),
    "randomised": ("dey2024anystar", "billot2023synthseg"),
    "cyclegan": ("zhu2017cyclegan",),
    "cyclegan-xy": ("zhu2017cyclegan", "ronneberger2015unet"),
    "cyclegan-yx": ("zhu2017cyclegan", "ronneberger2015unet"),
    "histogram-xy": ("ronneberger2015unet",),
    "histogram-yx": ("ronneberger2015unet",),
    "feature": ("tsai2018adapt", "lauenburg2023cysgan"),
    "mmd": ("long2015dan", "roels2019ynet"),
    "coral": ("sun2016coral", "roels2019ynet"),
    "dann": ("ganin2016dann", "roels2019ynet"),
    "ynet": ("roels2019ynet",),
    "mean_teacher": ("tarvainen2017meanteacher", "french2018selfensembling"),
    "mask_cyclegan": ("rosa_ssseg", "zhu2017cyclegan"),
    "vox2vox": ("cirillo2020vox2vox",),
}
NAMES = {
    "adgan": "AD-GAN", "cysgan": "CySGAN", "supervised": "a U-Net trained with supervision",
    "randomised": "a U-Net trained on domain-randomised synthetic images", "cyclegan": "CycleGAN",
    "cyclegan-xy": "CycleGAN, which draws the labelled source in the look of the target, and a U-Net trained on it",
    "cyclegan-yx": "a U-Net trained on the labelled source, and CycleGAN, which draws the target in the source's look",
    "histogram-xy": "a U-Net trained on the labelled source with histograms matched to the target",
    "histogram-yx": "a U-Net trained on the labelled source, applied to the target with histograms matched to it",
    "feature": "adversarial adaptation of features and outputs", "mmd": "MMD", "coral": "Deep CORAL", "dann": "DANN",
    "ynet": "Y-Net", "mean_teacher": "a mean teacher", "mask_cyclegan": "SS-Seg CycleGAN", "vox2vox": "Vox2Vox",
}  # fmt: skip
REPRESENTATIONS = {
    "bcd": ("lin2021nucmm",), "bc": ("lin2021nucmm",), "affinity": ("lee2017affinities",),
}  # fmt: skip


@cache
def library() -> dict[str, str]:
    """BibTeX entries by key."""
    text = files(__package__).joinpath("papers.bib").read_text(encoding="utf-8")
    return {re.split(r"[{,]", entry)[1].strip(): entry.strip() for entry in re.findall(r"^@.*?^}", text, re.S | re.M)}


def field(key: str, name: str) -> str:
    """A field of an entry without its braces; "" where it has none."""
    found = re.search(rf"^\s*{name}\s*=\s*{{(.*?)}},?$", library()[key], re.S | re.M)
    return " ".join(re.sub(r"{\\['`c\"]\s*{?(\w)}?}|[{}]", r"\1", found.group(1)).split()) if found else ""


def short(key: str) -> str:
    """As in a text: "Yao et al., 2021"."""
    authors = [name.partition(",")[0].strip() for name in field(key, "author").split(" and ")]
    names = authors[0] if len(authors) == 1 else " and ".join(authors) if len(authors) == 2 else f"{authors[0]} et al."
    return ", ".join(word for word in (names, field(key, "year")) if word)


def keys_of(method: str, representation: str = "") -> tuple[str, ...]:
    """Of all papers to cite, each once."""
    return tuple(dict.fromkeys((*METHODS.get(method, ()), *REPRESENTATIONS.get(representation, ()))))


def cited(keys: tuple[str, ...]) -> str:
    """In brackets, for a text; "" without any."""
    return f" ({'; '.join(short(key) for key in keys)})" if keys else ""
