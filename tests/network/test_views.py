"""Random views: what stays, what changes, and every change alone against plain arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from aeclust.network import views
from aeclust.network.views import (
    decoded_of,
    random_brightness,
    random_colour,
    random_crop,
    random_view,
    shown,
    small_crop,
)
from aeclust.recipe import named

LUMA = torch.tensor([0.299, 0.587, 0.114])
KEEP = 1.0  # a factor that changes nothing
STAY = 0.0  # an angle or a place that changes nothing


def source(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def images(n: int = 6, channels: int = 3, size: int = 8, *, reach: float = 1.0) -> Tensor:
    """Noise within [-reach, reach]."""
    return reach * (torch.rand((n, channels, size, size), generator=source(9)) * 2 - 1)


def ramp(n: int, channels: int, size: int = 16) -> Tensor:
    """Rising from left to right, equal in all rows."""
    return torch.linspace(-0.9, 0.9, size).expand(n, channels, size, size).contiguous()


def give(monkeypatch: pytest.MonkeyPatch, *numbers: float) -> None:
    """Let the numbers drawn be these, in this order."""
    left: Iterator[float] = iter(numbers)

    def uniform(source: Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        return torch.full(shape, next(left))

    monkeypatch.setattr(views, "_uniform", uniform)


def recoloured(
    monkeypatch: pytest.MonkeyPatch,
    given: Tensor,
    *,
    brightness: float = KEEP,
    contrast: float = KEEP,
    saturation: float = KEEP,
    turn: float = STAY,
    greyed: bool = False,
) -> Tensor:
    """The colour transform with known factors; `turn` is a share of the circle."""
    changed, unchanged = 0.0, 1.0
    give(monkeypatch, brightness, contrast, saturation, turn, changed, (unchanged, changed)[greyed])
    return random_colour(given, source())


def luma(given: Tensor) -> Tensor:
    return (given * LUMA.view(3, 1, 1)).sum(1, keepdim=True)


# -- crops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drawn", "flipped"), [(0.49, True), (0.51, False)])
def test_a_flip_mirrors_left_and_right(
    drawn: float, flipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, 1.0, 0.0, 0.0, 0.0, drawn)
    given = images()
    expected = given.flip(3) if flipped else given
    torch.testing.assert_close(random_crop(given, source(), flip=True), expected)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("bottom", [False, True])
def test_a_corner_is_cut_out_and_resized(
    right: bool, bottom: bool, flip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the area in a corner; only next to the cut does a crop know what lay beyond."""
    give(monkeypatch, 0.25, 0.0, 1.0 if right else -1.0, 1.0 if bottom else -1.0, float(not flip))
    given = images(size=12)
    rows = slice(6, 12) if bottom else slice(0, 6)
    columns = slice(6, 12) if right else slice(0, 6)
    part = given[:, :, rows, columns]
    expected = F.interpolate(part, (12, 12), mode="bilinear", align_corners=False)
    expected = expected.flip(3) if flip else expected
    cropped = random_crop(given, source(), flip=True)
    inner_rows = slice(1, 12) if bottom else slice(0, 11)
    inner_columns = slice(1, 12) if right != flip else slice(0, 11)
    torch.testing.assert_close(
        cropped[:, :, inner_rows, inner_columns], expected[:, :, inner_rows, inner_columns]
    )


def test_a_third_of_the_width_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share 1/3 with width : height = 1/3 takes the middle third at full height."""
    give(monkeypatch, 1 / 3, math.log(1 / 3), 0.0, 0.0)
    columns = torch.tensor([5.0, 5, 5, 0, 0, 0, 7, 7, 7]).expand(1, 1, 9, 9) / 10
    cropped = random_crop(columns, source(), flip=False)
    torch.testing.assert_close(cropped[:, :, :, 1:8], torch.zeros(1, 1, 9, 7))


def test_with_the_whole_area_one_side_stays_whole() -> None:
    """A part of the same area but another shape is cut in one direction alone."""
    along = ramp(40, 1)
    across = along.transpose(2, 3).contiguous()
    stays = [
        (random_crop(given, source(), flip=False, area=(1, 1)) - given).abs().amax((1, 2, 3))
        for given in (along, across)
    ]
    assert torch.minimum(*stays).max() < 1e-5
    assert (torch.maximum(*stays) > 1e-3).sum() > 30
    assert all(5 < (change < 1e-5).sum() < 35 for change in stays), "either side, by chance"


def test_parts_have_the_promised_size_and_shape() -> None:
    """Cropping two rulers tells how far neighbouring pixels of the view lay apart."""
    n, size = 2000, 16
    along = ramp(n, 1, size)
    rulers = torch.cat([along, along.transpose(2, 3)], 1) / (1.8 / (size - 1))  # 1 a pixel
    cropped = random_crop(rulers, source(), flip=False)
    middle = size // 2
    width = cropped[:, 0, middle, middle] - cropped[:, 0, middle, middle - 1]
    height = cropped[:, 1, middle, middle] - cropped[:, 1, middle - 1, middle]
    share, ratio = width * height, width / height
    assert 0.25 - 1e-4 < share.min() < 0.3
    assert 0.9 < share.max() < 1 + 1e-4
    assert 3 / 4 - 1e-3 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 4 / 3 + 1e-3
    # the median of the shares drawn is 0.625; large parts that would stick out are trimmed
    assert share.median().item() == pytest.approx(0.61, abs=0.03)
    centre = cropped[:, :, middle - 1 : middle + 1, middle - 1 : middle + 1].mean((0, 2, 3))
    assert centre.abs().max() < 0.2, "no corner is preferred"


def test_crops_invent_no_values() -> None:
    given = images(50)
    cropped = random_crop(given, source(), flip=True)
    assert bool((cropped.amax((2, 3)) <= given.amax((2, 3)) + 1e-6).all())
    assert bool((cropped.amin((2, 3)) >= given.amin((2, 3)) - 1e-6).all())


def test_a_plain_image_is_itself_in_every_crop() -> None:
    plain = torch.tensor([-1.0, 0.25, 1.0]).view(1, 3, 1, 1).expand(20, 3, 8, 8)
    torch.testing.assert_close(random_crop(plain, source(), flip=True), plain)


# -- colours --------------------------------------------------------------------------------------


def test_factors_of_one_and_images_not_chosen_stay_as_they_are() -> None:
    given = images()
    kept = random_colour(given, source(), strength=0, hue=0, grey=0)
    torch.testing.assert_close(kept, given, rtol=0, atol=1e-6)
    assert torch.equal(random_colour(given, source(), jitter=0, grey=0), given)


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.4])
@pytest.mark.parametrize("what", ["brightness", "contrast", "saturation"])
def test_colours_are_scaled_from_black_mean_grey_or_their_own_grey(
    what: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = images() / 2 + torch.linspace(-0.4, 0.4, 6).view(6, 1, 1, 1)
    grey = luma(given)
    centres = {"brightness": torch.tensor(-1.0), "contrast": grey.mean((1, 2, 3), keepdim=True)}
    centre = centres.get(what, grey)
    expected = (centre + factor * (given - centre)).clamp(-1, 1)
    changes: dict[str, Any] = {what: factor}
    result = recoloured(monkeypatch, given, **changes)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("greyed", [False, True])
def test_changes_follow_one_another(greyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saturation, contrast, brightness, then grey; no value of these leaves the range."""
    given = images(reach=0.4)
    saturated = luma(given) + 1.2 * (given - luma(given))
    mean = luma(saturated).mean((1, 2, 3), keepdim=True)
    expected = 1.1 * (mean + 0.7 * (saturated - mean) + 1) - 1
    expected = luma(expected).expand_as(given) if greyed else expected
    result = recoloured(
        monkeypatch, given, brightness=1.1, contrast=0.7, saturation=1.2, greyed=greyed
    )
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_the_hue_is_turned_before_saturation(monkeypatch: pytest.MonkeyPatch) -> None:
    given = images(reach=0.4)
    traded = given[:, [2, 0, 1]]
    expected = luma(traded) + 1.3 * (traded - luma(traded))
    result = recoloured(monkeypatch, given, turn=1 / 3, saturation=1.3)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("turn", "order"), [(1 / 3, [2, 0, 1]), (-1 / 3, [1, 2, 0])])
def test_a_third_of_the_circle_trades_the_channels(
    turn: float, order: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red becomes green, green blue, and blue red; and back."""
    given = images()
    expected = given[:, order]
    torch.testing.assert_close(recoloured(monkeypatch, given, turn=turn), expected)


def test_turning_the_hue_keeps_sum_and_chroma() -> None:
    given = images(40, reach=0.5)  # short enough to turn within the cube
    turned = random_colour(given, source(), strength=0, hue=0.1, grey=0, jitter=1)
    torch.testing.assert_close(turned.sum(1), given.sum(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(turned.norm(dim=1), given.norm(dim=1), rtol=0, atol=1e-5)
    away = given - given.mean(1, keepdim=True)
    angle = F.cosine_similarity(away, turned - turned.mean(1, keepdim=True), dim=1).flatten(1)
    # one angle for all pixels of an image, at most a tenth of the circle
    assert (angle.amax(1) - angle.amin(1)).max() < 1e-3
    assert math.cos(0.2 * math.pi) - 1e-4 < angle.min() < 0.9


def test_greyed_alone_an_image_is_its_luma() -> None:
    given = images()
    grey = random_colour(given, source(), jitter=0, grey=1)
    torch.testing.assert_close(grey, luma(given).expand_as(given), rtol=0, atol=1e-6)


def test_grey_images_differ_in_brightness_and_contrast_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = images(channels=1).expand(-1, 3, -1, -1)
    result = recoloured(monkeypatch, given, saturation=1.4, turn=0.1)
    torch.testing.assert_close(result, given, rtol=0, atol=1e-6)


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_shares_of_changed_and_greyed_images(share: float) -> None:
    """Standard error of 1,000 draws: 0.013."""
    given = images(1000, size=2)
    changed = random_colour(given, source(), jitter=share, grey=0) - given
    assert (changed.abs().amax((1, 2, 3)) > 0).float().mean().item() == pytest.approx(
        share, abs=6e-2
    )
    greyed = random_colour(given, source(), jitter=0, grey=share)
    spread = (greyed.amax(1) - greyed.amin(1)).amax((1, 2))
    assert (spread < 1e-5).float().mean().item() == pytest.approx(share, abs=6e-2)


def test_every_image_is_changed_by_factors_of_its_own() -> None:
    given = torch.full((100, 3, 2, 2), 0.0)
    changed = random_colour(given, source(), strength=0.4, jitter=1, grey=0)
    level = changed[:, 0, 0, 0] + 1  # mid-grey has neither contrast nor hue: only brightness
    assert len(set(level.tolist())) > 90
    assert 0.6 - 1e-5 < level.min() < 0.65
    assert 1.35 < level.max() < 1.4 + 1e-5


# -- views ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_views_keep_shape_and_range_and_leave_the_images_alone(channels: int) -> None:
    given = images(200, channels)
    before = given.clone()
    result = random_view(given, source())
    assert result.shape == given.shape
    assert result.dtype == torch.float32
    assert -1 <= result.min() < -0.9
    assert 0.9 < result.max() <= 1
    assert torch.equal(given, before)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_generator_alone_decides_the_view(channels: int) -> None:
    given, stream = images(channels=channels), source(3)
    first, second = random_view(given, stream), random_view(given, stream)
    assert bool(((first - second).abs().amax((1, 2, 3)) > 0.01).all())
    assert torch.equal(random_view(given, source(3)), first)
    assert not torch.equal(random_view(given, source(4)), first)


def test_grey_images_are_cropped_and_change_their_brightness_but_are_not_flipped() -> None:
    given = ramp(100, 1)
    result = random_view(given, source())
    steps = result.diff(dim=3)
    assert steps.min() > -1e-6, "rising to the right, every one"
    stream = source()
    half_or_more = random_crop(given, stream, flip=False, area=(0.5, 1.0))
    assert torch.equal(result, random_brightness(half_or_more, stream))


@pytest.mark.parametrize(("factor", "wanted"), [(1.0, 0.2), (0.5, -0.4), (1.5, 0.8), (2.0, 1.0)])
def test_grey_brightness_scales_from_black_up_to_white(
    factor: float, wanted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, factor, 0.0)
    given = torch.tensor([-1.0, 0.2]).reshape(1, 1, 1, 2)
    result = random_brightness(given, source())
    torch.testing.assert_close(result.flatten(), torch.tensor([-1.0, wanted]))
    give(monkeypatch, factor, 1.0)  # not one of those that change
    assert torch.equal(random_brightness(given, source()), given)


def test_how_many_images_change_their_brightness_and_how_far() -> None:
    given = torch.full((4_000, 1, 1, 1), -0.5)
    factors = (random_brightness(given, source()) + 1).flatten() / 0.5
    assert float((factors != 1).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert 0.5 <= float(factors.min()) < 0.51
    assert 1.49 < float(factors.max()) <= 1.5
    twice = (random_brightness(given, source(), strength=0.2, jitter=1) + 1).flatten() / 0.5
    assert 0.8 <= float(twice.min()) < 0.81
    assert bool((twice != 1).all())


def test_grey_images_show_half_of_their_area_or_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a ramp of height 1.8 a view's range is 1.8 times the share of the width that it shows."""
    monkeypatch.setattr(views, "random_brightness", lambda cropped, stream: cropped)
    shown = random_view(ramp(2_000, 1), source())
    widths = (shown.amax((1, 2, 3)) - shown.amin((1, 2, 3))) / 1.8
    # the narrowest shape has sqrt(3 / 4) of the width of a square
    assert float(widths.min()) == pytest.approx(0.5**0.5 * 0.75**0.5, abs=0.03)
    assert float(widths.max()) == pytest.approx(1, abs=0.01)


def test_half_of_the_rgb_images_are_flipped() -> None:
    """Standard error of 1,000 draws: 0.016."""
    cropped = random_crop(ramp(1000, 3), source(), flip=True)
    falling = cropped[:, 0, 8, -1] < cropped[:, 0, 8, 0]
    assert falling.float().mean().item() == pytest.approx(0.5, abs=0.07)


def test_an_rgb_view_is_a_flipping_crop_recoloured() -> None:
    given, stream = images(), source()
    expected = random_colour(random_crop(given, stream, flip=True), stream)
    assert torch.equal(random_view(given, source()), expected)


# -- what a step shows ----------------------------------------------------------------------------


def test_a_step_shows_two_smaller_views_and_small_crops() -> None:
    given = images(40, size=32)
    batch = shown(given, named("hybrid"), source(3))
    again = source(3)
    views = torch.cat([random_view(given, again), random_view(given, again)])
    smaller = F.interpolate(views, (24, 24), mode="bilinear", antialias=True)
    crops = [small_crop(given, again, 16) for _ in range(4)]
    assert torch.equal(batch.images, smaller)
    assert batch.crops is not None
    assert torch.equal(batch.crops, torch.cat(crops))
    assert torch.equal(batch.drawn, views[:40:2])
    whole = shown(given, named("hybrid"), source(3), whole=True)
    assert torch.equal(whole.images, views)


def test_a_step_without_a_contrast_shows_the_images_themselves() -> None:
    given = images(3)
    batch = shown(given, named("baseline"), source())
    assert batch.images is given
    assert batch.crops is None
    assert torch.equal(batch.drawn, given)


def test_of_few_images_all_are_decoded() -> None:
    assert [decoded_of(n, named("hybrid")) for n in (2, 31, 32, 256)] == [1, 1, 2, 2]
    rare = named("hybrid").override({"decoded": 64})
    assert [decoded_of(n, rare) for n in (2, 40, 256)] == [1, 2, 16]
    assert decoded_of(256, named("hybrid").override({"contrast": 0, "label_epochs": 0})) == 1


def test_a_plain_network_is_shown_whole_views() -> None:
    plain = named("hybrid").override({"network": "plain"})
    batch = shown(images(4, size=32), plain, source())
    assert batch.crops is None
    assert batch.images.shape == (8, 3, 32, 32)


def test_a_small_crop_shows_a_tenth_to_two_fifths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the smallest, in the middle, neighbouring pixels lie as far apart as the share says."""
    give(monkeypatch, 0.1, 0.0, 0.0, 0.0, 0.9)
    along = ramp(1, 3, 32)
    crop = random_crop(along, source(), flip=True, area=views._PART[3], side=16)
    steps = crop[0, 0, 8, 1:] - crop[0, 0, 8, :-1]
    expected = (1.8 / 31) * 32 * math.sqrt(0.1) / 16
    torch.testing.assert_close(steps, torch.full((15,), expected), rtol=1e-3, atol=0)
