"""Deletions, undone and done again."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import made_up_scene

from splat.viewer.edits import Edits
from splat.viewer.source import FileSource

COUNT = 12
ACTIONS = st.lists(
    st.one_of(st.just("undo"), st.just("redo"), st.lists(st.booleans(), min_size=COUNT, max_size=COUNT)), max_size=15
)


@settings(max_examples=60)
@given(ACTIONS)
def test_what_is_left_is_what_the_surviving_deletions_leave(actions: list[str | list[bool]]) -> None:
    edits, surviving, undone = Edits(COUNT), [], []
    for action in actions:
        before = edits.keep
        if action == "undo":
            edits.undo()
            undone += [surviving.pop()] if surviving else []
        elif action == "redo":
            edits.redo()
            surviving += [undone.pop()] if undone else []
        elif edits.delete(torch.tensor(action), "some"):
            surviving, undone = [*surviving, torch.tensor(action)], []
        else:
            assert torch.equal(edits.keep, before)
        wanted = torch.ones(COUNT, dtype=torch.bool)
        for rows in surviving:
            wanted &= ~rows
        assert torch.equal(edits.keep, wanted)
        assert bool(edits.undoable) == bool(surviving) and bool(edits.redoable) == bool(undone)
    while edits.undoable:
        edits.undo()
    assert edits.keep.all()


def test_every_change_and_nothing_else_is_a_new_version() -> None:
    edits, first = Edits(3), torch.tensor([True, False, False])
    assert edits.delete(first, "the first") == 1 and edits.version == 1
    assert edits.delete(first, "the first again") == 0 and edits.version == 1
    edits.redo()
    assert edits.version == 1
    edits.undo()
    assert edits.version == 2 and edits.redoable == "the first" and edits.undoable == ""


def test_a_file_shows_what_is_left_of_it() -> None:
    scene, source = made_up_scene(), FileSource(made_up_scene(), "file")
    rows = torch.arange(len(scene)) % 4 == 0
    source.edit(lambda edits: edits.delete(rows, "every fourth"))
    left = source.with_gaussians(lambda gaussians: gaussians)
    assert torch.equal(left.means, scene.means[~rows]) and source.generation == 1
    source.edit(Edits.undo)
    assert torch.equal(source.with_gaussians(lambda gaussians: gaussians.sh), scene.sh) and source.generation == 2
