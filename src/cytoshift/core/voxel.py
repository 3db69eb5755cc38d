"""The size of a voxel, so that nothing downstream counts in pixels by accident."""

from dataclasses import dataclass

from .errors import UserError

PIXEL = "px"
MICROMETRE = "um"
SMALLEST, LARGEST = 1e-9, 1e12  # extents that are taken for one, in either unit
# What file formats call a unit, in micrometres.
UNITS = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "\\u00b5m": 1.0, "\\u03bcm": 1.0, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "mm": 1e3, "millimeter": 1e3,
    "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6, "meter": 1e6, "metre": 1e6,
    "angstrom": 1e-4, "å": 1e-4, "\u212b": 1e-4, "pm": 1e-6, "picometer": 1e-6, "picometre": 1e-6, "fm": 1e-9,
    "femtometer": 1e-9, "dm": 1e5, "decimeter": 1e5, "decimetre": 1e5, "km": 1e9, "kilometer": 1e9, "kilometre": 1e9,
    "in": 25400.0, "inch": 25400.0, "inches": 25400.0, "thou": 25.4, "ft": 304800.0, "foot": 304800.0, "yd": 914400.0,
    "yard": 914400.0, "pt": 25400.0 / 72,
}  # fmt: skip


@dataclass(frozen=True)
class Voxel:
    """Size of one voxel along each spatial axis.

    Parameters
    ----------
    size
        Extents in array order: (y, x) or (z, y, x).
    unit
        "um", or "px" where nobody declared the physical size; then `size` still has the anisotropy, in multiples of the
        finest axis. Default: "px".

    Raises
    ------
    UserError
        For other units, and for extents that are not positive or out of range.

    Examples
    --------
    >>> voxel = Voxel((2.0, 0.5, 0.5), "um")
    >>> voxel.ndim, voxel.volume, voxel.anisotropy
    (3, 0.5, (4.0, 1.0, 1.0))
    >>> print(voxel)
    2 x 0.5 x 0.5 um
    """

    size: tuple[float, ...]
    unit: str = PIXEL

    def __post_init__(self) -> None:
        if self.unit not in (PIXEL, MICROMETRE):
            raise UserError(f"voxel unit '{self.unit}' is not '{MICROMETRE}' or '{PIXEL}'; convert with Voxel.of()")
        if len(self.size) not in (2, 3) or not all(0 < s < float("inf") for s in self.size):
            raise UserError(f"voxel size {self.size} needs two or three positive numbers, (z, y, x) or (y, x)")
        if not all(SMALLEST <= s <= LARGEST for s in self.size):
            raise UserError(
                f"voxel size {self.size} {self.unit} cannot be the size of a voxel; declare one between {SMALLEST:g} "
                f"and {LARGEST:g}"
            )

    @classmethod
    def of(cls, size: tuple[float, ...], unit: str) -> "Voxel":
        """From a unit as files spell it ("micron", "nm", "px"). Lengths become micrometres.

        Parameters
        ----------
        size
            Extents in `unit`, in array order.
        unit
            Name of the unit.

        Returns
        -------
        Voxel
            In "um" or "px".

        Raises
        ------
        UserError
            Where the unit is not known.

        Examples
        --------
        >>> Voxel.of((50, 4.6, 4.6), "nm")
        Voxel(size=(0.05, 0.0046, 0.0046), unit='um')
        """
        name = unit.strip().lower()
        if name in (PIXEL, "pixel", "pixels"):
            return cls(tuple(float(s) for s in size), PIXEL)
        if name not in UNITS:
            raise UserError(f"unit '{unit}' is not known; use um, nm, mm or px")
        return cls(tuple(round(s * UNITS[name], 12) for s in size), MICROMETRE)

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.size)

    @property
    def volume(self) -> float:
        """Area (2D) or volume (3D) of one voxel, in unit ** ndim."""
        product = 1.0
        for s in self.size:
            product *= s
        return product

    @property
    def anisotropy(self) -> tuple[float, ...]:
        """Extents in multiples of the finest axis."""
        finest = min(self.size)
        return tuple(s / finest for s in self.size)

    def voxels(self, length: float) -> tuple[float, ...]:
        """A length in voxels along each axis.

        Parameters
        ----------
        length
            In `unit`.

        Returns
        -------
        tuple
            One number for each axis.

        Examples
        --------
        >>> Voxel((2.0, 0.5, 0.5), "um").voxels(4.0)
        (2.0, 8.0, 8.0)
        """
        return tuple(length / s for s in self.size)

    def __str__(self) -> str:
        return " x ".join(f"{s:g}" for s in self.size) + f" {self.unit}"
