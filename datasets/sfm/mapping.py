"""From matches to cameras and points, by COLMAP."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Smallest model worth having, photos.
MIN_MODEL = 3


def map_photos(
    database: Path, images: Path, work: Path, count: int, seed: int, threads: int, progress: Callable[[int, int], None]
) -> tuple[list[Any], str]:
    """Places the photos one after another. Where that places fewer than half, or ends in pieces that it cannot
    join, it places them all at once, too, and the model of more photos is kept.

    Args:
        work: an empty folder for what COLMAP writes meanwhile.
        count: number of photos.

    Returns:
        pycolmap.Reconstructions, the largest first, at least MIN_MODEL photos each; and the mapper's name.
    """
    models = _incremental(database, images, work / "incremental", count, seed, threads, progress)
    placed = [set(model.reg_image_ids()) for model in models]
    if placed and 2 * len(placed[0]) >= count and placed[0] == set.union(*placed):
        return models, "incremental"
    other = _global(database, images, work / "global", seed, threads)
    return (other, "global") if _score(other) > _score(models) else (models, "incremental")


def _incremental(
    database: Path, images: Path, work: Path, count: int, seed: int, threads: int, progress: Callable[[int, int], None]
) -> list[Any]:
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions(num_threads=threads, random_seed=seed, min_model_size=MIN_MODEL)
    placed = 0

    def step(photos: int) -> None:
        # A photo may be tried again in another model, so the count could run over.
        nonlocal placed
        placed = min(placed + photos, count)
        progress(placed, count)

    work.mkdir(parents=True)
    models = pycolmap.incremental_mapping(
        database, images, work, options,
        initial_image_pair_callback=lambda: step(2), next_image_callback=lambda: step(1),
    )  # fmt: skip
    progress(count, count)
    return _largest_first(models)


def _global(database: Path, images: Path, work: Path, seed: int, threads: int) -> list[Any]:
    import pycolmap

    work.mkdir(parents=True)
    # View-graph calibration writes to the database it reads.
    copy = Path(shutil.copyfile(database, work / "database.db"))
    options = pycolmap.GlobalPipelineOptions(num_threads=threads, random_seed=seed)
    try:
        models = pycolmap.global_mapping(copy, images, work, options)
    except (RuntimeError, ValueError):
        # COLMAP's checks fail where there is nothing to solve; then the other mapper's result stands.
        return []
    return _largest_first(models)


def _largest_first(models: dict[int, Any]) -> list[Any]:
    usable = [model for model in models.values() if model.num_reg_images() >= MIN_MODEL and model.num_points3D() > 0]
    return sorted(usable, key=lambda model: (model.num_reg_images(), model.num_points3D()), reverse=True)


def _score(models: list[Any]) -> tuple[int, int]:
    return (models[0].num_reg_images(), models[0].num_points3D()) if models else (0, 0)
