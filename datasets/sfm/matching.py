"""Comparing photos: features that agree, and that agree on how the camera moved."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from splat.datasets.sfm.pairs import Pair
from splat.datasets.sfm.photos import Photo

#: Pairs handed to COLMAP at once: between two calls there is progress to show and Ctrl-C to hear.
BATCH = 48


def match_pairs(
    path: Path, photos: list[Photo], pairs: list[Pair], seed: int, threads: int, progress: Callable[[int, int], None]
) -> None:
    """Matches and verifies the pairs that the database has not yet.

    Raises:
        OSError: the list of pairs cannot be written.
    """
    import pycolmap

    matching = pycolmap.FeatureMatchingOptions(num_threads=threads)
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    done = compared_pairs(path)
    missing = [(photos[i].name, photos[j].name) for i, j in pairs]
    missing = [pair for pair in missing if pair not in done and pair[::-1] not in done]
    listing = path.with_name("pairs.txt")
    progress(len(pairs) - len(missing), len(pairs))
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        listing.write_text("\n".join(" ".join(pair) for pair in batch), encoding="utf-8")
        pycolmap.match_image_pairs(
            path,
            matching_options=matching,
            pairing_options=pycolmap.ImportedPairingOptions(match_list_path=listing),
            verification_options=verification,
            device=pycolmap.Device.cpu,
        )
        progress(len(pairs) - len(missing) + start + len(batch), len(pairs))


def compared_pairs(path: Path) -> dict[tuple[str, str], int]:
    """The pairs compared so far, by name, and how many matches of each agree on one motion of the camera."""
    import pycolmap

    with closing(sqlite3.connect(path)) as db:
        names = dict(db.execute("SELECT image_id, name FROM images"))
        # pycolmap's own reader leaves out the pairs that share nothing.
        counts = db.execute("SELECT pair_id, rows FROM two_view_geometries").fetchall()
    pairs = ((pycolmap.pair_id_to_image_pair(pair_id), count) for pair_id, count in counts)
    return {(names[first], names[second]): count for (first, second), count in pairs}
