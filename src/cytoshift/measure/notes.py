"""What a person should know before trusting a measurement, one sentence each."""

from ..core.voxel import Voxel
from .measurement import Measurement, Polarity

DOUBTFUL_CONFIDENCE = 0.5  # reasons of confidence below this are named
FEW_OBJECTS = 10  # objects; with fewer the quantiles of their sizes say little
COARSE_ACROSS = 5  # voxels across the median object
WIDE_SPREAD = 5  # of the 95 % over the 5 % quantile of diameters
STRETCHED_DEPTH = 1.5  # depth over width of the objects by which the voxel size along z is doubted


def notes_on(measured: Measurement, voxel: Voxel, vote: Polarity, given: int, enough: bool) -> tuple[str, ...]:
    """Notes on `measured`. vote: the polarity the images speak for; given: images before they were thinned out;
    enough: whether enough objects are whole."""
    return tuple(doubt_notes(measured, vote) + sample_notes(measured, given, enough) + shape_notes(measured, voxel))


def doubt_notes(measured: Measurement, vote: Polarity) -> list[str]:
    """Why the confidence is what it is."""
    seen = measured.evidence
    notes = []
    if seen["signal"] < DOUBTFUL_CONFIDENCE:
        notes.append(
            f"structures stand out from the noise only {seen['contrast_to_noise']:.2g} times: "
            "there may be nothing in these images"
        )
    if measured.objects and seen["separation"] < DOUBTFUL_CONFIDENCE:
        notes.append(
            f"objects are {seen['contrast_to_background']:.2g} standard deviations of the background above it, hardly "
            "more than noise that a threshold has cut"
        )
    if measured.objects and seen["shape"] < DOUBTFUL_CONFIDENCE:
        notes.append(
            f"the median outline is {measured.elongation[50]:.2g} times as long as wide: these may be pieces of walls "
            "between cells; 'cytoshift segment nuclei-3d' says which size a network finds"
        )
    if seen["polarity"] < DOUBTFUL_CONFIDENCE:
        notes.append(
            "bright and dark structures look the same, as in noise: look at the images and declare the polarity "
            "yourself"
        )
    elif vote != measured.polarity:
        notes.append(f"polarity is declared {measured.polarity}, but the compact structures are the {vote} ones")
    if measured.objects and seen["agreement"] < DOUBTFUL_CONFIDENCE:
        notes.append(
            f"two ways of measuring disagree: the texture is {seen['characteristic_diameter']:.3g} {measured.unit} "
            f"wide, the outlined objects {measured.diameters[50]:.3g}"
        )
    return notes


def sample_notes(measured: Measurement, given: int, enough: bool) -> list[str]:
    """What the numbers rest on."""
    notes = []
    silent = round(measured.evidence["silent_images"])
    if len(measured.images) < given:
        notes.append(f"{len(measured.images)} of {given} images were measured, spread evenly")
    if silent:
        notes.append(f"{silent} of {len(measured.images)} images show nothing above their noise")
    if measured.objects < FEW_OBJECTS:
        notes.append(f"only {measured.objects} objects were found: quantiles are rough")
    if not enough and measured.objects:
        notes.append("almost every object is cut by the border: whole ones are larger than these diameters say")
    return notes


def shape_notes(measured: Measurement, voxel: Voxel) -> list[str]:
    """What in the sizes and shapes asks for a second look."""
    if not measured.objects:
        return []
    notes = []
    low, middle, high = (measured.diameters[q] for q in (5, 50, 95))
    if middle < COARSE_ACROSS * min(voxel.size):
        notes.append(f"objects are only {middle / min(voxel.size):.1f} voxels wide: their shapes cannot be measured")
    if high > WIDE_SPREAD * low:
        notes.append(f"sizes differ {high / low:.0f}-fold: are these images of one kind, and free of debris?")
    axial = measured.axial_elongation
    if axial is not None and not 1 / STRETCHED_DEPTH < axial < STRETCHED_DEPTH:
        how = "longer" if axial > 1 else "shorter"
        notes.append(
            f"objects are {max(axial, 1 / axial):.1f} times {how} along z than in the plane: "
            "axial blur, flat cells, or a wrong voxel size"
        )
    return notes
