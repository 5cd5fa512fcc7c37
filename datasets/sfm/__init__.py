"""Structure from motion, by COLMAP: what `splat.datasets.capture` is made of.

A capture runs through these, in this order: folder (what goes in) -> video (frames out of it) -> photos (which are
usable; set upright) -> features -> pairs (which photos to compare) -> matching -> mapping (poses and points) ->
diagnosis (what went wrong, what to do) -> page (the report), result.
"""
