"""Recipes of two stages: images are drawn, of another modality or of synthetic masks, then a segmenter learns."""

from typing import NamedTuple

from ..core.batch import MaskBatch
from .adgan import ADGAN
from .base import Method
from .cyclegan import CycleGAN
from .mask_cyclegan import MaskCycleGAN
from .spcyclegan import SpCycleGAN
from .supervised import Supervised


class TwoStages(NamedTuple):
    """A recipe by its name in settings files; `train.stages` has the steps.

    title: in sentences. translator: the method of the first stage, None where intensities are looked up in a table.
    segmenter: the method of the second one. published: BibTeX keys of the recipe itself. paper: the preset of the first
    method that is meant by "paper".
    """

    name: str
    title: str
    translator: type[Method] | None
    segmenter: type[Method] = Supervised
    published: tuple[str, ...] = ()
    paper: str = "paper"

    @property
    def papers(self) -> tuple[str, ...]:
        # Another preset is another paper's: `published` has it.
        first = self.translator.papers if self.translator and self.paper == "paper" else ()
        return (*self.published, *first, *self.segmenter.papers)

    @property
    def learns_from_masks(self) -> bool:
        """Whether the first method draws images from synthetic masks, so that no label is borrowed."""
        return self.translator is not None and MaskBatch in self.translator.batch.__annotations__.values()

    @property
    def least_patch(self) -> int:
        return max(one.least_patch for one in (self.translator, self.segmenter) if one)

    @property
    def least_depth(self) -> int | None:
        return None if self.translator else self.segmenter.least_depth

    @property
    def ndims(self) -> tuple[int, ...]:
        return self.segmenter.ndims

    @property
    def compares_sections(self) -> bool:
        return self.segmenter.compares_sections

    @property
    def segments(self) -> bool:
        return True

    @property
    def translates(self) -> bool:
        return self.translator is not None and not self.learns_from_masks


TWO_STAGES = {
    one.name: one
    for one in (
        TwoStages(
            "cyclegan-xy",
            "CycleGAN, which draws the labelled source in the look of the target, and a U-Net trained on it",
            CycleGAN,
        ),
        TwoStages(
            "cyclegan-yx",
            "a U-Net trained on the labelled source, and CycleGAN, which draws the target in the source's look",
            CycleGAN,
        ),
        TwoStages("histogram-xy", "a U-Net trained on the labelled source with histograms matched to the target", None),
        TwoStages(
            "histogram-yx",
            "a U-Net trained on the labelled source, applied to the target with histograms matched to it",
            None,
        ),
        TwoStages(
            "cgunet",
            "CGU-net: CycleGAN, which draws images from synthetic masks, and a U-Net trained on these pairs",
            MaskCycleGAN,
            published=("bohland2019synthetic", "zhu2017cyclegan"),
            paper="zhu",
        ),
        TwoStages(
            "deepsynth",
            "DeepSynth: SpCycleGAN, which draws images from synthetic masks, and a U-Net trained on these pairs",
            SpCycleGAN,
            published=("dunn2019deepsynth",),
        ),
        TwoStages(
            "adgan-unet",
            "AD-GAN, which draws images from synthetic masks, and a U-Net trained on these pairs",
            ADGAN,
        ),
    )
}
