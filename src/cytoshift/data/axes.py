"""From what a file says and what the user declares to one meaning, or one sentence that names the flag."""

import unicodedata

from ..core.errors import UserError
from ..core.voxel import PIXEL, UNITS, Voxel
from .formats import number_range
from .picture import UNKNOWN, Picture

DROPPED = "-"  # an axis of length 1 that nobody asked for


def resolve_axes(picture: Picture, declared: str | None) -> str:
    """One letter per stored axis, DROPPED for an axis of length 1 that carries no meaning.

    declared: letters for all stored axes or for those longer than 1; the samples of a colour may be left out where
    the file knows them. Declared letters overrule the file's, whose metadata are wrong at times (z stored as t).
    """
    axes, shape = picture.axes, picture.array.shape
    long = [i for i, (a, n) in enumerate(zip(axes, shape)) if n > 1 or a in "yx"]
    if len(shape) == 2 and UNKNOWN in axes:
        long = [0, 1]
    if declared is None:
        settled = "".join(a if i in long else DROPPED for i, a in enumerate(axes))
        if UNKNOWN not in settled:
            return settled
        if len(long) == 2 and set(settled) <= {UNKNOWN, DROPPED}:
            return place_axes("yx", long, len(shape))  # two axes of an image can only be y and x
        raise UserError(
            f"axes of {picture.origin} {shape} are not in its metadata; pass `axes` {suggest_axes(settled)}"
        )
    if UNKNOWN not in axes and [a for a in axes if a in declared] == list(declared):
        rest = [n for a, n in zip(axes, shape) if a not in declared and a != "s"]
        if all(n == 1 for n in rest):
            return "".join(a if a in declared or (a == "s" and n > 1) else DROPPED for a, n in zip(axes, shape))
    for places in (list(range(len(shape))), long):
        if len(places) == len(declared):
            return place_axes(declared, places, len(shape))
    samples = [i for i in long if axes[i] == "s"]
    others = [i for i in long if axes[i] != "s"]
    if samples and "s" not in declared and len(others) == len(declared):
        return "".join("s" if i in samples else a for i, a in enumerate(place_axes(declared, others, len(shape))))
    raise UserError(
        f"axes '{declared}' name {len(declared)} axes, but {picture.origin} has {len(long)}, of "
        f"{describe_axes(axes, shape)}; "
        f"pass `axes` with {len(long)} letters"
    )


def place_axes(letters: str, places: list[int], count: int) -> str:
    """The letters at their places, DROPPED elsewhere."""
    row = [DROPPED] * count
    for letter, place in zip(letters, places):
        row[place] = letter
    return "".join(row)


def suggest_axes(settled: str) -> str:
    """Axes that fit an array with unknown ones."""
    kept = [a for a in settled if a != DROPPED]
    tail = "s" if kept[-1] == "s" else ""
    count = len(kept) - len(tail)
    if count == 3:
        colour = ", yxs" if set(kept) == {UNKNOWN} else ""
        return f"zyx{tail} (or tyx{tail}, cyx{tail}{colour})"
    return f"tzyx{tail} (or czyx{tail}, zcyx{tail})" if count == 4 else "with one letter of tczyxs per axis"


def describe_axes(axes: str, shape: tuple[int, ...]) -> str:
    if UNKNOWN in axes:
        return f"shape {shape}"
    return "axes " + " ".join(f"{a}={n}" for a, n in zip(axes, shape) if n > 1 or a in "yx")


def stacking_axis(picture: Picture, declared: str | None) -> bool:
    """Whether `declared` has one axis, z or t in front, more than every single file of a set has.

    A file that says z = 1 of itself, as OME-TIFF does of any 2D image, is one section, too.
    """
    if declared is None or declared[0] not in "zt" or not is_resolvable(picture, declared[1:]):
        return False
    if not is_resolvable(picture, declared):
        return True
    return declared[0] == "z" and picture.array.shape[resolve_axes(picture, declared).index("z")] == 1


def is_resolvable(picture: Picture, declared: str) -> bool:
    try:
        resolve_axes(picture, declared)
    except UserError:
        return False
    return True


def choose_channel(picture: Picture, axes: str, channel: int | str | None) -> tuple[str, int | None]:
    """The axis to take a channel from ("" where there is none) and its number, None for the luminance of RGB."""
    length = dict(zip(axes, picture.array.shape))
    if length.get("c", 1) > 1 and length.get("s", 1) > 1:
        raise UserError(f"{picture.origin} has {length['c']} channels in colours; save its channels as gray images")
    axis = "c" if length.get("c", 1) > 1 else "s" if "s" in length else "c" if "c" in length else ""
    colours = picture.colours if axis == "s" else ()
    count = len(colours) or length.get(axis, 1)
    if channel == "luminance":
        # Whoever declares three samples of a colour (and not channels) has said that they are red, green and blue.
        if axis == "s" and count == 3 and (colours or UNKNOWN in picture.axes):
            return axis, None
        raise UserError(f"only RGB has luminance, {picture.origin} is not RGB; {list_channels(picture, axis, count)}")
    if isinstance(channel, str) or (channel is not None and not 0 <= channel < count):
        return axis, named_channel(picture, axis, count, channel)
    if channel is None and count == 1:
        return axis, 0
    if channel is None and len(colours) == 3:
        cure = "pass `channel=luminance`, or `channel=0`, 1 or 2 for red, green or blue"
        raise UserError(f"{picture.origin} is RGB, but one channel is needed; {cure}")
    if channel is None:
        stock = list_channels(picture, axis, count)
        raise UserError(f"{picture.origin} has {count} channels, but one is needed; {stock}")
    return axis, channel


def named_channel(picture: Picture, axis: str, count: int, name: str | int) -> int:
    """The number of the channel of that name, as it is written or else in any case; of a number in words, that one.

    Raises UserError where there is none, or several.
    """
    names = channel_names(picture, axis)[:count]
    wanted = str(name)
    for known, wish in ((names, wanted), ([one.casefold() for one in names], wanted.casefold())):
        if len(places := [i for i, one in enumerate(known) if one == wish]) == 1:
            return places[0]
        if places:
            raise UserError(
                f"{picture.origin} has {len(places)} channels called '{name}'; pass `channel` with one of their "
                f"numbers {', '.join(map(str, places))}"
            )
    if wanted.isdecimal() and int(wanted) < count:
        return int(wanted)
    raise UserError(f"{picture.origin} has no channel {name}; {list_channels(picture, axis, count)}")


def channel_names(picture: Picture, axis: str) -> list[str]:
    """What the file calls its channels, as many as it says, composed so that names of one look are one name."""
    return [
        unicodedata.normalize("NFC", name).strip() for name in (picture.colours if axis == "s" else picture.channels)
    ]


def list_channels(picture: Picture, axis: str, count: int) -> str:
    """The stock of channels and the flag."""
    if count == 1:
        return "it has one channel, leave `channel` out"
    names = channel_names(picture, axis)
    stock = ", ".join(f"{i} {names[i]}" if i < len(names) else str(i) for i in range(min(count, 20)))
    return f"pass `channel` with one of {stock}"


def choose_frames(picture: Picture, count: int, frames: tuple[int, ...] | None) -> list[int]:
    """Numbers along t."""
    if frames is None:
        return list(range(count))
    for frame in frames:
        if not 0 <= frame < count:
            raise UserError(
                f"{picture.origin} has no frame {frame}, it has {count}; pass `frames` of {number_range(count)}"
            )
    return list(frames)


def voxel_size(
    picture: Picture, axes: str, shape: tuple[int, ...], declared: tuple[float, ...] | None, unit: str | None
) -> Voxel:
    """Declared, or else from the file; a 2D image without any is counted in pixels, a stack must say its z step."""
    if declared is not None:
        if unit is None:
            raise UserError(f"voxel size {join_numbers(declared)} has no unit; add `unit=um` (or nm, px)")
        if len(declared) != len(axes):
            want = "2,1,1" if len(axes) == 3 else "1,1"
            raise UserError(
                f"voxel size {join_numbers(declared)} has {len(declared)} numbers, but {picture.origin} has the "
                f"axes {axes}; pass {len(axes)}, for example `voxel` {want}"
            )
        return Voxel.of(declared, unit)
    extents = [picture.extents.get(a) for a in axes]
    if not any(extents) and len(axes) == 2:
        if unit not in (None, PIXEL):
            raise UserError(f"unit {unit} is given, but {picture.origin} has no voxel size; add `voxel=y,x`")
        return Voxel((1.0, 1.0), PIXEL)
    if not all(extents):
        missing = ", ".join(a for a, e in zip(axes, extents) if not e)
        which = f" along {missing}" if any(extents) else ""
        size = " x ".join(map(str, shape))
        raise UserError(
            f"voxel size{which} of {picture.origin} ({axes} {size}) is not in its metadata; "
            f"pass `voxel` {','.join('2' if a == 'z' else '1' for a in axes)} `unit=px`, or its {axes} sizes in um"
        )
    sizes = tuple(e for e in extents if e)
    units = [unit or picture.units.get(a) for a in axes]
    if None in units:
        raise UserError(
            f"voxel size {join_numbers(sizes)} of {picture.origin} has no unit in its metadata; pass `unit=um` (or px)"
        )
    return same_unit(sizes, [u for u in units if u], picture.origin)


def same_unit(sizes: tuple[float, ...], units: list[str], origin: str) -> Voxel:
    """Sizes whose axes may be given in different units (ImageJ allows it)."""
    try:
        if len(set(units)) == 1:
            return Voxel.of(sizes, units[0])
        return Voxel(tuple(round(s * UNITS[u.strip().lower()], 12) for s, u in zip(sizes, units)), "um")
    except (UserError, KeyError):
        raise UserError(
            f"voxel size {join_numbers(sizes)} of {origin} is in {', '.join(dict.fromkeys(units))}, which is not "
            "a unit of length; pass `voxel` and `unit`"
        ) from None


def join_numbers(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{n:g}" for n in numbers)
