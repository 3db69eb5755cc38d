"""Recipes of two stages: one modality is translated into the look of the other, then a segmenter learns."""

from typing import NamedTuple

from .base import Method
from .cyclegan import CycleGAN
from .supervised import Supervised


class TwoStages(NamedTuple):
    """A recipe by its name in settings files; `train.stages` has the steps.

    title: in sentences. translator: the method of the first stage, None where intensities are looked up in a table.
    segmenter: the method of the second one.
    """

    name: str
    title: str
    translator: type[Method] | None
    segmenter: type[Method] = Supervised

    @property
    def papers(self) -> tuple[str, ...]:
        return (*(self.translator.papers if self.translator else ()), *self.segmenter.papers)

    @property
    def least_patch(self) -> int:
        return max(one.least_patch for one in (self.translator, self.segmenter) if one)

    @property
    def segments(self) -> bool:
        return True

    @property
    def translates(self) -> bool:
        return self.translator is not None


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
    )
}
