"""Tile lists: against brute force over pixels, order, opcheck, laws, edges."""

from __future__ import annotations

import pytest
import torch
from backends import rand, randn
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Flat, random_flat
from torch import Tensor

from splat.ops.tiles import TILE, TileLists, tiles
from splat.reference.constants import ALPHA_MIN
from splat.reference.tiles import least_sigmas, necessary

#: The kernel lists a Gaussian up to this much beyond its ellipse, lest rounding drop one (kSigmaSlack, and rounding).
SLACK = 0.02


def membership(lists: TileLists, scene: Flat) -> Tensor:
    """[C, TY, TX, N] bool from the lists; every Gaussian at most once in a tile."""
    cameras, count = scene.opacities.shape
    shape = (cameras, -(-scene.height // TILE), -(-scene.width // TILE))
    tile_of = torch.repeat_interleave(lists.offsets.diff())
    counts = torch.zeros(lists.offsets.numel() - 1, cameras * count, dtype=torch.int32)
    counts.index_put_((tile_of, lists.gaussian_ids.long()), torch.ones_like(lists.gaussian_ids), accumulate=True)
    assert counts.max() <= 1
    by_camera = counts.reshape(*shape, cameras, count)
    own = torch.stack([by_camera[c, :, :, c] for c in range(cameras)])
    assert own.sum() == counts.sum(), "a Gaussian is listed under another camera"
    return own.bool()


SCENES = [
    {"count": 300},
    {"count": 100, "cameras": 3, "width": 33, "height": 64},
    {"count": 100, "size": (0.3, 0.9), "width": 16, "height": 16},
    {"count": 60, "size": (0.5, 60.0), "width": 130, "height": 70},
    {"count": 40, "size": (0.6, 400.0), "width": 100, "height": 100},
]


@pytest.mark.parametrize("arguments", SCENES)
def test_no_tile_is_missing_and_none_is_superfluous(arguments):
    scene = random_flat(**arguments)
    listed = membership(scene.lists(), scene)
    means2d, conics, opacities = scene.means2d.double(), scene.conics.double(), scene.opacities.double()
    needed = necessary(means2d, conics, opacities, scene.width, scene.height)
    assert not (needed & ~listed).any()
    limit = torch.log(opacities / ALPHA_MIN)[:, None, None]
    allowed = least_sigmas(means2d, conics, scene.width, scene.height) <= limit + SLACK
    assert not (listed & ~allowed).any()
    assert needed.any() and not listed.all()


def test_lists_are_in_depth_order_and_ties_in_index_order():
    scene = random_flat(400, cameras=2)
    scene.depths = (scene.depths * 3).round()
    lists = scene.lists()
    depths = scene.depths.flatten()
    for begin, end in zip(lists.offsets[:-1].tolist(), lists.offsets[1:].tolist(), strict=True):
        ids = lists.gaussian_ids[begin:end].tolist()
        assert ids == sorted(ids, key=lambda i: (float(depths[i]), i))


def test_depths_of_any_size_and_sign_sort():
    scene = random_flat(400, size=(100.0, 200.0), opacity=(0.9, 0.99), width=8, height=8)
    generator = torch.Generator().manual_seed(3)
    powers = (60 * rand(1, 400, generator=generator)).floor() - 30
    scene.depths = randn(1, 400, generator=generator) * 10.0**powers
    lists = scene.lists()
    assert lists.gaussian_ids.tolist() == torch.argsort(scene.depths[0]).tolist()


def test_slots_name_each_instance_once_by_gaussian():
    scene = random_flat(300, cameras=2)
    lists = scene.lists()
    assert torch.equal(lists.slots.sort().values, torch.arange(lists.slots.numel(), dtype=torch.int32))
    ids = lists.gaussian_ids.long()
    assert (lists.gaussian_offsets[ids] <= lists.slots).all() and (lists.slots < lists.gaussian_offsets[ids + 1]).all()
    assert torch.equal(lists.gaussian_offsets.diff(), torch.bincount(ids, minlength=600))


# Bounds


def assert_bounded(scene: Flat, bound: int) -> None:
    """The lists are those of the Gaussians that fit; behind them, if anything, stand Gaussians and slots that exist."""
    ours, whole, kept = scene.lists(bound), scene.lists(), scene.within(bound).lists()
    used = kept.gaussian_ids.numel()
    assert used <= bound
    assert ours.needed.tolist() == whole.needed.tolist() == [whole.gaussian_ids.numel()]
    for name in ("offsets", "gaussian_offsets"):
        assert torch.equal(getattr(ours, name), getattr(kept, name)), name
    for name in ("gaussian_ids", "slots"):
        assert torch.equal(getattr(ours, name)[:used], getattr(kept, name)), name
    assert ours.slots.numel() == ours.gaussian_ids.numel() <= max(bound, used)
    assert torch.equal(ours.slots.sort().values, torch.arange(ours.slots.numel(), dtype=torch.int32))
    assert ((ours.gaussian_ids >= 0) & (ours.gaussian_ids < max(scene.opacities.numel(), 1))).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 300},
        {"count": 40, "cameras": 3, "width": 64, "height": 64},  # 2^4 tiles an image
        {"count": 200, "size": (0.5, 90.0), "width": 128, "height": 32},  # 2^4 tiles in all
        {"count": 3, "width": 16, "height": 16},
    ],
)
def test_a_bound_drops_whole_gaussians_from_the_first_that_does_not_fit(arguments):
    scene = random_flat(**arguments)
    needed = int(scene.lists().needed)
    exact = int(scene.within(needed // 3).lists().needed)  # what fits exactly stays
    for bound in (0, 1, exact, needed // 3, needed - 1, needed, needed + 1, 2 * needed + 500):
        assert_bounded(scene, bound)


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 3), st.integers(0, 150))
@settings(max_examples=20)
def test_any_scene_may_have_any_bound(seed, count, cameras, bound):
    assert_bounded(random_flat(count, cameras=cameras, width=40, height=33, seed=seed), bound)


def test_a_gaussian_that_does_not_fit_takes_smaller_ones_behind_it_along():
    scene = random_flat(3, size=(2.0, 2.0), opacity=(0.9, 0.9), width=160, height=160)
    scene.means2d[:] = 8.5
    scene.conics[:, 1] = 1e-8
    scene.extents[:, 1] = 1e5
    assert scene.lists().gaussian_offsets.tolist() == [0, 1, 101, 102]
    lists = scene.lists(bound=100)
    assert lists.gaussian_offsets.tolist() == [0, 1, 1, 1] and lists.needed.tolist() == [102]
    assert lists.offsets[1:].tolist() == [1] * 100 and lists.gaussian_ids[:1].tolist() == [0]


@pytest.mark.parametrize("bound", [-1, 2**31])
def test_bounds_that_no_list_can_have_are_errors(bound):
    with pytest.raises(RuntimeError, match=rf"bound must be in \[0, 2\^31\), got {bound}"):
        random_flat(5).lists(bound)


@pytest.mark.backends("cuda")
def test_with_a_bound_nothing_waits_for_the_gpu():
    scene = random_flat(300)
    scene.lists(1000)
    torch.cuda.synchronize()
    torch.cuda._sleep(1 << 30)
    scene.lists(1000)
    assert not torch.cuda.current_stream().query(), "the lists were there before the GPU began with them"


@pytest.mark.slow
def test_opcheck():
    for count in (20, 0):
        scene = random_flat(count, cameras=2)
        arguments = (scene.means2d, scene.conics, scene.depths, scene.opacities, scene.extents, 50, 37)
        torch.library.opcheck(torch.ops.splat.tiles.default, arguments)
        torch.library.opcheck(torch.ops.splat.tiles.default, (*arguments, 15))


@pytest.mark.backends("cpu")
def test_same_lists_for_any_number_of_threads():
    scene = random_flat(50_000, size=(0.6, 1.5), width=300, height=200)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(scene.lists())
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_inputs_need_not_be_contiguous():
    scene = random_flat(50)
    expected = scene.lists()
    for name in ("means2d", "conics", "depths", "opacities", "extents"):
        tensor = getattr(scene, name)
        setattr(scene, name, torch.stack([tensor, tensor], dim=-1)[..., 0])
        assert not getattr(scene, name).is_contiguous()
    assert all(torch.equal(a, b) for a, b in zip(scene.lists(), expected, strict=True))


@pytest.mark.parametrize(
    "field, value",
    [
        ("extents", 0.0),
        ("extents", float("nan")),
        ("extents", -1.0),
        ("means2d", float("nan")),
        ("means2d", 1e30),
        ("means2d", float("-inf")),
        ("opacities", 0.0),
        ("opacities", 1 / 300),
        ("opacities", float("nan")),
    ],
)
def test_what_cannot_be_seen_is_in_no_list(field, value):
    scene = random_flat(10, size=(3.0, 4.0), opacity=(0.5, 0.9))
    getattr(scene, field)[:, 3] = value
    lists = scene.lists()
    assert 3 not in lists.gaussian_ids.tolist()
    others = torch.arange(10) != 3
    assert lists.gaussian_ids.numel() == scene.select(others).lists().gaussian_ids.numel()


def test_one_gaussian_over_everything():
    scene = random_flat(1, size=(1e5, 1e5), opacity=(0.9, 0.9), width=100, height=70)
    lists = scene.lists()
    assert lists.gaussian_ids.numel() == lists.offsets.numel() - 1 == 7 * 5


def test_no_gaussians_give_empty_lists():
    lists = random_flat(0, cameras=2).lists()
    assert lists.gaussian_ids.numel() == 0 and lists.offsets.tolist() == [0] * (2 * 4 * 3 + 1)
    assert lists.gaussian_offsets.tolist() == [0]


def test_wrong_shapes_and_sizes_are_named():
    scene = random_flat(5)
    with pytest.raises(ValueError, match=r"depths must be \[C, N\] with C = 1, N = 5, got \[1, 4\]"):
        tiles(scene.means2d, scene.conics, scene.depths[:, 1:], scene.opacities, scene.extents, 50, 37)
    with pytest.raises(ValueError, match="width must be > 0"):
        tiles(scene.means2d, scene.conics, scene.depths, scene.opacities, scene.extents, 0, 37)
    with pytest.raises(RuntimeError, match="too many tiles"):
        tiles(scene.means2d, scene.conics, scene.depths, scene.opacities, scene.extents, 1 << 20, 1 << 20)


@pytest.mark.backends("cpu", "cuda")  # by fibres it takes half an hour
@pytest.mark.slow
def test_too_many_instances_are_an_error_and_no_crash():
    side = 4096 * TILE  # 2^24 tiles, the most an image may have
    scene = random_flat(128, size=(1e6, 1e6), opacity=(0.9, 0.9), width=side, height=side)
    with pytest.raises(RuntimeError, match=r"touch 2147483648 tiles in all, which must be below 2\^31"):
        scene.lists()
