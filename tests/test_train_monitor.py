"""The monitor: each symptom on arrays made by hand, patience over looks, and no word about what is healthy."""

import numpy as np
import pytest

from cytoshift.methods import METHODS
from cytoshift.methods.base import AdversarialPair, MonitorSpec, Translation
from cytoshift.train import symptoms
from cytoshift.train.monitor import CURES, PATIENCE, Monitor, check_translation
from tiny_methods import batch_of, build, optimizers_of, step

SHAPE = (4, 1, 32, 32)


def disks(seed, count=4):
    """Masks of a few disks, -1 and 1, (4, 1, 32, 32)."""
    rng, grid = np.random.default_rng(seed), np.mgrid[:32, :32]
    out = -np.ones(SHAPE, np.float32)
    for mask in out[:, 0]:
        for y, x in rng.uniform(4, 28, (count, 2)):
            mask[(grid[0] - y) ** 2 + (grid[1] - x) ** 2 < 12] = 1
    return out


def image_of(masks, seed=0, bright=0.8):
    noise = np.random.default_rng(seed).normal(-0.6, 0.1, SHAPE)
    return (noise + bright * (masks > 0)).astype(np.float32)


TRUTH, OTHER = disks(0), disks(1)
IMAGE, OTHER_IMAGE = image_of(TRUTH), image_of(OTHER, 1)
FLAT = np.full(SHAPE, -0.6, np.float32)
ONE = np.repeat(TRUTH[:1], 4, 0)

MASK = Translation("seen", of="image", like="prior", mask=True)
REDRAWN = Translation("seen", of="image", like="prior")


def said(drawing, image, seen, like, **more):
    return [s.kind for s in check_translation(drawing, {"image": image, "seen": seen, "prior": like, **more})]


def test_healthy_pictures_are_passed_over():
    assert said(MASK, IMAGE, TRUTH, OTHER) == []
    assert said(REDRAWN, IMAGE, image_of(TRUTH, 2, 0.4), OTHER_IMAGE) == []
    assert said(REDRAWN, TRUTH, IMAGE, OTHER_IMAGE) == []
    assert said(MASK, image_of(disks(2, 1)), disks(2, 1), disks(3, 12)) == []  # an emptier image than usual
    assert said(MASK, image_of(disks(2, 12)), disks(2, 12), disks(3, 1)) == []  # a fuller one


def test_different_inputs_with_one_output_are_a_collapse():
    assert "collapse" in said(MASK, IMAGE, ONE, OTHER)
    assert "collapse" in said(REDRAWN, IMAGE, image_of(ONE), OTHER_IMAGE)
    assert symptoms.find_collapse(image_of(ONE), ONE) is None  # as the inputs are one as well
    assert "0.00 of inputs" in symptoms.find_collapse(np.random.default_rng(0).normal(size=(4, 99999)), ONE)


def test_bright_that_became_dark_is_an_inversion():
    assert said(MASK, IMAGE, -TRUTH, OTHER) == ["inversion", "invented"]
    assert "inversion" in said(REDRAWN, IMAGE, -IMAGE, OTHER_IMAGE)
    assert symptoms.find_inversion(IMAGE, 0.2 * TRUTH + np.random.default_rng(0).normal(size=SHAPE)) is None


def test_dark_objects_with_known_answers_are_no_inversion():
    known = Translation("seen", of="image", like="prior", mask=True, answer_to="labelled")
    dark, other = image_of(TRUTH, 0, -0.4), image_of(OTHER, 1, -0.4)
    assert said(known, dark, TRUTH, OTHER, labelled=other) == []
    assert said(known, dark, -TRUTH, OTHER, labelled=other) == ["inversion"]
    assert said(known, FLAT, TRUTH, OTHER, labelled=FLAT) == []  # brightness tells nothing, and it is not asked


def test_where_a_source_tells_nothing_of_brightness_objects_of_the_target_are_bright():
    """As of electron micrographs, whose nuclei are told by their texture, for fluorescence."""
    borrowed = Translation("seen", of="image", like="prior", mask=True, answer_to="source")
    texture = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    assert said(borrowed, IMAGE, TRUTH, OTHER, source=texture) == []
    assert "inversion" in said(borrowed, IMAGE, -TRUTH, OTHER, source=texture)
    own = Translation("seen", of="image", like="prior", mask=True, answer_to="image")
    assert said(own, texture - 0.2 * OTHER, OTHER, OTHER) == []


def test_emptied_masks_and_flat_translations_have_lost_the_objects():
    assert said(MASK, IMAGE, -np.ones(SHAPE), OTHER) == ["vanished"]
    assert said(REDRAWN, IMAGE, FLAT, OTHER_IMAGE) == ["vanished"]
    noise = np.random.default_rng(5).normal(-0.6, 0.1, SHAPE).astype(np.float32)
    assert said(REDRAWN, IMAGE, noise, OTHER_IMAGE) == ["vanished"]
    assert "0.00% of the masks is foreground" in symptoms.find_empty_masks(IMAGE, -np.ones(SHAPE), OTHER)


def test_objects_out_of_nothing_are_invented():
    assert said(MASK, IMAGE, np.ones(SHAPE), OTHER) == ["invented"]
    assert said(MASK, FLAT, TRUTH, OTHER) == ["invented"]
    assert said(MASK, image_of(disks(2, 1)), disks(2, 1) * 0 + disks(7, 40), disks(3, 1)) == ["invented"]
    elsewhere = np.roll(IMAGE, 16, 0 - 1)[::-1].copy()
    assert said(REDRAWN, IMAGE, elsewhere, OTHER_IMAGE) == ["invented"]


def test_a_discriminator_that_is_always_right_has_won():
    assert symptoms.find_saturation(0.25, 0.5, 0.4, 1.0) is None
    assert symptoms.find_saturation(0.01, 0.5, 0.4, 1.0) is None  # it is still fooled by the newest
    assert symptoms.find_saturation(0.01, 0.5, 0.0, 0.0) is None  # the game is off
    assert "0.01, where 0.5 is a tie; the loss of the generator is 0.97" in symptoms.find_saturation(
        0.01, 0.5, 0.97, 1.0
    )


def test_a_loss_ten_times_as_high_as_usual_has_diverged():
    assert symptoms.find_growth(9.0, 1.0) is None
    assert symptoms.find_growth(11.0, 1.0) == "the loss has grown to 11, where 1 is usual"


def test_a_symptom_counts_after_three_sheets_in_a_row():
    monitor = Monitor(MonitorSpec((MASK,)))
    bad = {"image": IMAGE, "seen": -np.ones(SHAPE), "prior": OTHER}
    good = bad | {"seen": TRUTH}
    assert monitor.pictures(bad, early=True) == [] and not monitor.at_ease
    assert monitor.pictures(bad) == monitor.pictures(bad) == []
    assert monitor.pictures(good) == [] and monitor.at_ease
    assert monitor.pictures(bad) == monitor.pictures(bad) == []
    (failure,) = monitor.pictures(bad)
    assert failure.key == "vanished: seen" and monitor.is_new(failure)
    assert CURES["vanished"] in failure.sentence
    assert monitor.pictures(bad) == [failure] and not monitor.is_new(failure)


def test_numbers_count_after_some_rows_in_a_row_and_pictures_between_do_not_matter():
    monitor = Monitor(MonitorSpec(pairs=(AdversarialPair(("discriminators/x",), ("generators/fool",), 1.0),)))
    row = {"discriminators/x": 0.01, "generators/fool": 1.0, "generators/cycle": 2.0}
    for _ in range(PATIENCE["discriminator"] - 1):
        assert monitor.numbers(row) == monitor.pictures({}) == []
    assert [s.key for s in monitor.numbers(row)] == ["discriminator: discriminators/x"]
    assert monitor.numbers(row | {"discriminators/x": 0.4}) == [] and monitor.at_ease  # a tie again is no divergence
    high = row | {"discriminators/x": 0.4, "generators/cycle": 40.0}
    assert monitor.numbers(high) == monitor.numbers(high) == []
    assert [s.key for s in monitor.numbers(high)] == ["divergence: generators"]


def test_a_game_that_explodes_at_once_is_a_divergence():
    monitor = Monitor(MonitorSpec(pairs=(AdversarialPair(("discriminators/x",), ("generators/fool",), 1.0),)))
    row = {"discriminators/x": 5e3, "generators/fool": 2e3, "generators/cycle": 2.0}
    assert monitor.numbers(row) == monitor.numbers(row) == []
    assert [s.key for s in monitor.numbers(row)] == ["divergence: discriminators/x", "divergence: generators/fool"]


def test_the_memory_is_kept_in_a_checkpoint():
    one, two = (
        Monitor(MonitorSpec((MASK,), (AdversarialPair(("discriminators/x",), ("generators/fool",), 1.0),)))
        for _ in range(2)
    )
    bad = {"image": IMAGE, "seen": -np.ones(SHAPE), "prior": OTHER}
    one.pictures(bad), one.pictures(bad), one.numbers({"discriminators/x": 0.5, "generators/fool": 0.5})
    one.rollbacks = 2
    two.load_state_dict(one.state_dict())
    assert two.pictures(bad) and two.rollbacks == 2 and two.began == {"discriminators": [0.5], "generators": [0.5]}
    two.load_state_dict({})
    assert two.at_ease and two.state_dict() == Monitor(MonitorSpec()).state_dict()


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_says_to_the_monitor_is_there(name):
    """Every picture and every loss term by its name, and terms that a game of the least squares gives."""
    ndim = METHODS[name].ndims[0]
    method = build(name, ndim)
    batch = batch_of(method, ndim)
    pictures, terms = method.sample_images(batch), step(method, optimizers_of(method), batch)
    watch = method.monitor_spec()
    known = [d for d in watch.translations if d.picture in pictures]
    assert known
    for drawing in known:
        assert {drawing.of, drawing.like, drawing.answer_to or drawing.of} <= pictures.keys()
    for game in watch.pairs:
        assert {*game.discriminator, *game.fool} <= terms.keys()
        assert game.lost > 0
    discriminators = [player for player in method.players() if player.startswith("discriminator")]
    assert {term for game in watch.pairs for term in game.discriminator} == {
        t for t in terms if t.split("/")[0] in discriminators
    }


@pytest.mark.parametrize("name", ["adgan", "cyclegan", "cysgan", "feature"])
def test_ties_and_defeats_are_what_the_terms_come_to(name, monkeypatch):
    """Discriminators that say 0.5 of everything, and ones that know reals (the first of a batch) from fakes."""
    method = build(name)
    watch = method.monitor_spec()
    for score in (0.5, 0.0):
        for module in method.players().values():
            for part in module.modules():
                if type(part).__name__ in ("Discriminator", "PatchDiscriminator"):
                    part.register_forward_hook(lambda m, args, out, score=score: out * 0 + score)
        terms = step(method, optimizers_of(method, 0.0), batch_of(method))
        for game in watch.pairs:
            if score == 0.5:
                assert float(sum(terms[t] for t in game.discriminator)) == pytest.approx(game.saturation_level)
            elif name != "adgan":  # whose generator pays for reconstructions that pass as real, too
                assert float(sum(terms[t] for t in game.fool)) == pytest.approx(game.lost)
