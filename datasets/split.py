"""Which views are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from splat.datasets.frames import listed
from splat.errors import SplatError


def split(
    names: Sequence[str], given: Sequence[bool | None], test_every: int, test_names: Sequence[str] | None
) -> tuple[list[int], list[int]]:
    """Indices of training and of held-out views.

    Args:
        names: of the views, sorted.
        given: what the capture itself says; None where it does not.
        test_every: holds out the views 0, n, 2n, ... (the protocol of Mip-NeRF 360); 0 holds out none.
        test_names: holds out these and no others; with or without folder and suffix.

    Raises:
        SplatError: a name in the list is no view, or nothing is left to train on.
    """
    if test_names is not None:
        spellings = [{name, PurePosixPath(name).name, PurePosixPath(name).stem} for name in names]
        unknown = [name for name in test_names if not any(name in known for known in spellings)]
        if unknown:
            raise SplatError(f"no view is called {listed(unknown)}; give names of the capture's photos")
        test = [i for i, known in enumerate(spellings) if not known.isdisjoint(test_names)]
    elif any(is_test is not None for is_test in given):
        test = [i for i, is_test in enumerate(given) if is_test]
    else:
        test = list(range(0, len(names), test_every)) if test_every else []
    train = sorted(set(range(len(names))) - set(test))
    if not train:
        raise SplatError(f"all {len(names)} views are held out for testing, none is left to train on; hold out fewer")
    return train, test
