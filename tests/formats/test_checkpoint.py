"""Other programs' checkpoints: read without believing or running what is in them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._utils import _rebuild_tensor_v2

from splat.errors import SplatError
from splat.formats import read, write
from splat.gaussians import Gaussians


def random_gaussians(count: int, degree: int, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        normal(count, 3), normal(count, 4), normal(count, 3), normal(count), normal(count, (degree + 1) ** 2, 3)
    )


def splats(scene: Gaussians) -> dict[str, torch.Tensor]:
    names = {"means": scene.means, "scales": scene.log_scales, "quats": scene.quats, "opacities": scene.opacity_logits}
    return names | {"sh0": scene.sh[:, :1].contiguous(), "shN": scene.sh[:, 1:].contiguous()}


def save(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def assert_same(a: Gaussians, b: Gaussians) -> None:
    for name, tensor in a.parameters().items():
        assert torch.equal(tensor, b.parameters()[name]), name


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("count", [0, 1, 7])
def test_gsplat_s(tmp_path: Path, count: int, degree: int) -> None:
    scene = random_gaussians(count, degree)
    # As its trainer does it: the state of a ParameterDict beside the step and modules' states.
    parameters = torch.nn.ParameterDict({k: torch.nn.Parameter(v) for k, v in splats(scene).items()})
    state = {"step": 29999, "splats": parameters.state_dict(), "pose_adjust": torch.nn.Linear(2, 2).state_dict()}
    assert_same(read(save(state, tmp_path / "ckpt_29999_rank0.pt")), scene)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_and_strides(tmp_path: Path, dtype: torch.dtype) -> None:
    scene = random_gaussians(5, 2).to(dtype=dtype)
    # Views of one storage, one of them transposed: shN is part of sh, and quats lie column by column.
    state = splats(scene) | {"shN": scene.sh[:, 1:], "quats": scene.quats.T.contiguous().T}
    assert_same(read(save({"splats": state}, tmp_path / "scene.pt")), scene.to(dtype=torch.float32))


def test_the_original_release_s(tmp_path: Path) -> None:
    scene = random_gaussians(5, 3)
    parts = splats(scene)
    captured = (3, parts["means"], parts["sh0"], parts["shN"], parts["scales"], parts["quats"])
    captured += (parts["opacities"][:, None], torch.zeros(5), torch.zeros(5, 1), torch.zeros(5, 1), {"state": {}}, 4.2)
    captured = tuple(torch.nn.Parameter(p) if isinstance(p, torch.Tensor) else p for p in captured)
    assert_same(read(save((captured, 30000), tmp_path / "chkpnt30000.pth")), scene)


def test_all_ranks_make_one_scene(tmp_path: Path) -> None:
    parts = [random_gaussians(4 + rank, 1, rank) for rank in range(3)]
    for rank, part in enumerate(parts):
        save({"splats": splats(part)}, tmp_path / f"ckpt_9_rank{rank}.pt")
    save({"splats": splats(parts[0])}, tmp_path / "ckpt_99_rank1.pt")
    assert_same(read(tmp_path / "ckpt_9_rank0.pt"), Gaussians.concat(parts))
    assert_same(read(tmp_path / "ckpt_9_rank1.pt"), parts[1])
    save({"splats": splats(random_gaussians(2, 0))}, tmp_path / "ckpt_9_rank2.pt")
    with pytest.raises(SplatError, match=r"ckpt_9_rank2\.pt has SH of another degree"):
        read(tmp_path / "ckpt_9_rank0.pt")


def test_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    scene = random_gaussians(3, 0)
    scene.means[1, 1] = torch.nan
    with pytest.warns(UserWarning, match="1 of 3"):
        assert len(read(save({"splats": splats(scene)}, tmp_path / "scene.pt"))) == 2


class Harmful:
    """Makes a file when it is unpickled as pickle does it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


def test_nothing_is_run(tmp_path: Path) -> None:
    scene = random_gaussians(2, 0)
    state = {"config": Harmful(tmp_path / "made"), "splats": splats(scene)}
    assert_same(read(save(state, tmp_path / "scene.pt")), scene)
    assert not (tmp_path / "made").exists()


SCENE = splats(random_gaussians(3, 1))
OTHERS = {
    "ours": ({"format": "splat-checkpoint", "parameters": {}}, "to resume from; give the run's scene.ply"),
    "a list": ([1, 2], "no checkpoint of gsplat"),
    "a model": ({"state_dict": {"w": torch.zeros(2)}}, "no checkpoint of gsplat"),
    "none of it": ({"splats": {}}, "no checkpoint of gsplat"),
    "no colours": ({"splats": {k: v for k, v in SCENE.items() if k != "sh0"}}, "no checkpoint of gsplat"),
    "words": ({"splats": SCENE | {"means": "x"}}, "no checkpoint of gsplat"),
    "integers": ({"splats": SCENE | {"means": torch.zeros(3, 3, dtype=torch.int32)}}, "no checkpoint of gsplat"),
    "a network's": ({"splats": SCENE | {"features": torch.zeros(3, 32)}}, "only its run's network makes"),
    "another count": ({"splats": SCENE | {"quats": torch.zeros(4, 4)}}, "shapes that make no scene"),
    "other axes": ({"splats": SCENE | {"scales": torch.zeros(3, 2)}}, "shapes that make no scene"),
    "half a band": ({"splats": SCENE | {"shN": torch.zeros(3, 4, 3)}}, "shapes that make no scene"),
    "a number": ({"splats": SCENE | {"means": torch.tensor(1.0)}}, "shapes that make no scene"),
}


def told(path: Path, reason: str) -> None:
    with pytest.raises(SplatError, match=reason) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_scene(tmp_path: Path, name: str) -> None:
    state, reason = OTHERS[name]
    told(save(state, tmp_path / "scene.pt"), reason)


def rewritten(change, *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A good file with `change` made to {name: content} of its members."""
    buffer, result = io.BytesIO(), io.BytesIO()
    torch.save({"splats": SCENE}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(result, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return result.getvalue()


def with_pickle(content: bytes) -> bytes:
    return rewritten(lambda members: members.update({"archive/data.pkl": content}))


def claims(offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """A file whose means claim to be what they are not."""

    class Claim:
        def __reduce__(self):
            return _rebuild_tensor_v2, (Storage(), offset, sizes, strides, False, OrderedDict())

    class Storage: ...

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", torch.FloatStorage, "0", "cpu", 9) if isinstance(obj, Storage) else None

    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({"splats": dict.fromkeys(("means", "quats", "scales", "opacities", "sh0", "shN"), Claim())})
    return with_pickle(buffer.getvalue())


DAMAGED = {
    "empty": b"",
    "no zip": b"PK\3\4" + bytes(1000),
    "no pickle": rewritten(lambda members: members.pop("archive/data.pkl")),
    "no storage": rewritten(lambda members: members.pop("archive/data/0")),
    "half a storage": rewritten(lambda members: members.update({"archive/data/1": bytes(8)})),
    "compressed": rewritten(lambda members: None, compression=zipfile.ZIP_DEFLATED),
    "a huge pickle": with_pickle(b"\x80\x02" + b"]0" * 10**6 + b"."),
    "an empty pickle": with_pickle(b""),
    "memory for nothing": with_pickle(b"\x80\x05\x96" + (2**60).to_bytes(8, "little") + b"."),
    "a nest of keys": with_pickle(b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s."),
    "endless storage": claims(0, (2**39, 3), (3, 1)),
    "expanded": claims(0, (10**9, 3), (0, 0)),
    "beyond the storage": claims(7, (1, 3), (3, 1)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_sentence_with_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "scene.pt").write_bytes(DAMAGED[name])
    told(tmp_path / "scene.pt", "no whole file of torch.save|no checkpoint of gsplat|shapes that make no scene")


def test_saved_by_an_old_torch(tmp_path: Path) -> None:
    torch.save({"splats": SCENE}, tmp_path / "scene.pt", _use_new_zipfile_serialization=False)
    told(tmp_path / "scene.pt", "of a torch before 1.6")


def test_saved_on_a_big_endian_machine(tmp_path: Path) -> None:
    content = rewritten(lambda members: members.update({"archive/byteorder": b"big"}))
    (tmp_path / "scene.pt").write_bytes(content)
    told(tmp_path / "scene.pt", "big-endian")


@settings(max_examples=25)
@given(st.data())
def test_any_cut_is_noticed(tmp_path_factory, data) -> None:
    path = save({"splats": SCENE}, tmp_path_factory.mktemp("cut") / "scene.pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    told(path, "no whole file of torch.save")


def test_it_is_read_alone(tmp_path: Path) -> None:
    with pytest.raises(SplatError, match=r"\.pt files are read here, not written"):
        write(random_gaussians(1, 0), tmp_path / "scene.pt")
