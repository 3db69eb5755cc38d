"""What a GAN's losses do not show, and what they show too late: the monitor of a training.

It looks at the rows of log.jsonl and at the pictures of the sheets, with what the method says about both
(`methods.base.MonitorSpec`). A symptom (symptoms.py) counts as a failure once it has shown at several looks in a row;
what is done then is up to the loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..methods.base import MonitorSpec, Translation
from . import symptoms
from .symptoms import Samples

# Looks in a row at which a symptom has to show: pictures for those of pictures, rows of the log for those of numbers.
PATIENCE = {"collapse": 3, "inversion": 3, "vanished": 3, "invented": 3, "discriminator": 10, "divergence": 3}
CURES = {
    "collapse": "give the cycle more weight (options.cycle), or lower train.lr",
    "inversion": "check normalise.invert of data and source, as objects have to be bright, or try another seed",
    "vanished": "check that prior or source have objects as large and dense as the images, or try another seed",
    "invented": "check that prior or source have objects as large and dense as the images, or try another seed",
    "discriminator": "make it narrower (options.discriminator), or lower train.lr or the weights of cycle and identity",
    "divergence": "lower train.lr",
}
FIRST = 3  # rows of the log that tell where a loss began


@dataclass(frozen=True)
class Symptom:
    """kind: a key of PATIENCE and CURES. subject: the picture or the player that shows it. words: with numbers."""

    kind: str
    subject: str
    words: str

    @property
    def key(self) -> str:
        return f"{self.kind}: {self.subject}"

    @property
    def sentence(self) -> str:
        return f"{self.key}: {self.words}; {CURES[self.kind]}"


class Monitor:
    """The memory over looks, part of a checkpoint, so that a killed run comes to the same failures.

    rollbacks: how often the training went back. halvings: of the learning rate. ended: why it was stopped, or "".
    """

    def __init__(self, watch: MonitorSpec) -> None:
        self.watch = watch
        self.streaks: dict[str, int] = {}  # looks in a row, by the key of the symptom
        self.began: dict[str, list[float]] = {}  # the first losses of each player
        self.rollbacks, self.halvings, self.ended = 0, 0, ""

    def numbers(self, terms: dict[str, float]) -> list[Symptom]:
        """Look at one row of the log, "player/name" to value; return what is a failure by now."""
        found = check_pairs(self.watch, terms)
        for player, loss in player_losses(terms).items():
            began = self.began.setdefault(player, [])
            if len(began) < FIRST:
                began.append(loss)
            elif not is_discriminator(self.watch, player) and (words := symptoms.find_growth(loss, sum(began) / FIRST)):
                found.append(Symptom("divergence", player, words))
        return self.remember(found, ("discriminator", "divergence"))

    def pictures(self, pictures: dict[str, Samples], early: bool = False) -> list[Symptom]:
        """Look at a sheet, name to (N, C, *S); return what is a failure by now. An `early` look counts for
        nothing but that it is no state to come back to."""
        found = [symptom for drawing in self.watch.translations for symptom in check_translation(drawing, pictures)]
        return self.remember(found, ("collapse", "inversion", "vanished", "invented"), 0 if early else 1)

    def remember(self, found: list[Symptom], kinds: tuple[str, ...], weight: int = 1) -> list[Symptom]:
        """Count the looks in a row; what is not found any more is forgotten."""
        others = {key: n for key, n in self.streaks.items() if not key.startswith(kinds)}
        counts = {s.key: self.streaks.get(s.key, 0) + weight for s in found}
        self.streaks = others | counts
        return [s for s in found if counts[s.key] >= PATIENCE[s.kind]]

    def is_new(self, failure: Symptom) -> bool:
        """It was none at the look before."""
        return self.streaks[failure.key] == PATIENCE[failure.kind]

    @property
    def at_ease(self) -> bool:
        """Nothing suspicious at the last looks: a state to come back to."""
        return not self.streaks

    def state_dict(self) -> dict[str, Any]:
        return {
            "streaks": self.streaks, "began": self.began, "rollbacks": self.rollbacks, "halvings": self.halvings,
            "ended": self.ended,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """An empty state is that of a training that begins, or of a checkpoint written before there was a memory."""
        fresh = Monitor(self.watch).state_dict() | state
        self.streaks, self.began = dict(fresh["streaks"]), {k: list(v) for k, v in fresh["began"].items()}
        self.rollbacks, self.halvings, self.ended = fresh["rollbacks"], fresh["halvings"], fresh["ended"]


def check_translation(drawing: Translation, pictures: dict[str, Samples]) -> list[Symptom]:
    """Failures in one picture of a sheet, or in each of its channels if they have names."""
    if not {drawing.picture, drawing.of, drawing.like} <= pictures.keys():
        return []
    count = len(drawing.names)
    if not count and pictures[drawing.of].shape == pictures[drawing.picture].shape:
        return check_pictures(drawing, pictures, drawing.picture)
    found = []
    for number, name in enumerate(drawing.names or ("all channels",)):
        seen = {key: one_channel(picture, number, count) for key, picture in pictures.items()}
        found += check_pictures(drawing, seen, f"{drawing.picture} ({name})")
    return found


def one_channel(picture: Samples, number: int, count: int) -> Samples:
    """Channel `number` of (N, count, *S), as (N, 1, *S); of any other number of channels their mean."""
    return picture[:, number : number + 1] if picture.shape[1] == count else picture.mean(1, keepdims=True)


def check_pictures(drawing: Translation, pictures: dict[str, Samples], subject: str) -> list[Symptom]:
    of, made, like = pictures[drawing.of], pictures[drawing.picture], pictures[drawing.like]
    expected = sign = 1.0
    if drawing.answer_to in pictures:
        expected = symptoms.agreement(pictures[drawing.answer_to], like)
        # Where brightness does not tell the objects of the source it may tell those of the target, and settings are
        # made so that networks see them bright.
        sign = expected if drawing.of == drawing.answer_to or abs(expected) > symptoms.CLEAR_CORRELATION else 1.0
    checks: dict[str, Callable[[], str | None]] = {
        "collapse": lambda: symptoms.find_collapse(of, made),
        "inversion": lambda: symptoms.find_inversion(of, made, sign),
        "vanished": lambda: (
            symptoms.find_empty_masks(of, made, like) if drawing.mask else symptoms.find_vanished(of, made, like)
        ),
        "invented": lambda: (
            symptoms.find_full_masks(of, made, like, expected)
            if drawing.mask
            else symptoms.find_invented(of, made, like)
        ),
    }
    return [Symptom(kind, subject, words) for kind, check in checks.items() if (words := check())]


def check_pairs(watch: MonitorSpec, terms: dict[str, float]) -> list[Symptom]:
    """Which discriminators have won, and which games have lost all measure: their scale is known, wherever they
    began.
    """
    found = []
    for game in watch.pairs:
        if not {*game.discriminator, *game.fool} <= terms.keys():
            continue
        discriminator, fool = sum(terms[name] for name in game.discriminator), sum(terms[name] for name in game.fool)
        if words := symptoms.find_saturation(discriminator, game.saturation_level, fool, game.lost):
            found.append(Symptom("discriminator", " and ".join(game.discriminator), words))
        for names, loss, usual in (
            (game.discriminator, discriminator, game.saturation_level),
            (game.fool, fool, game.lost),
        ):
            if usual > 0 and (words := symptoms.find_growth(loss, usual)):
                found.append(Symptom("divergence", " and ".join(names), words))
    return found


def player_losses(terms: dict[str, float]) -> dict[str, float]:
    """What each player pays; terms are "player/name"."""
    players = dict.fromkeys(name.split("/")[0] for name in terms if "/" in name)
    return {p: sum(value for name, value in terms.items() if name.startswith(f"{p}/")) for p in players}


def is_discriminator(watch: MonitorSpec, player: str) -> bool:
    """It is a discriminator: its losses may well grow from nothing to a tie."""
    return any(name.startswith(f"{player}/") for game in watch.pairs for name in game.discriminator)
