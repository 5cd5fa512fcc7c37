"""Who is drawn next and how large, on a clock that the test turns."""

from __future__ import annotations

from dataclasses import replace

from splat.viewer.camera import Pose
from splat.viewer.frames import (
    FINE_AFTER,
    FINE_PARTS,
    FULL_PIXELS,
    PREVIEW_SECONDS,
    REFRESH_EVERY,
    RETRY_MOST,
    SCORE_EVERY,
    STILL_AFTER,
    Allowance,
    FrameScheduler,
    Job,
    Ladder,
    Pace,
    Request,
)


def looking(x: float = 0.0, fine: bool = False, **more) -> Request:
    return Request(Pose((1.0, 0.0, 0.0, 0.0), (x, 0.0, 0.0), 0.8), 1000, 800, fine=fine, **more)


def drawn(scheduler: FrameScheduler, now: float, generation: int = 0, seconds: float = 0.01) -> Job | None:
    job = scheduler.next(now, generation)
    if job is not None:
        scheduler.finished(job, now)
        scheduler.shown(job, seconds, 1000)
    return job


def test_the_first_picture_is_full_and_then_there_is_nothing_to_do() -> None:
    scheduler = FrameScheduler()
    assert scheduler.next(0.0, 0) is None
    scheduler.update(1, looking(), 0.0)
    job = drawn(scheduler, 0.0)
    assert job is not None and (job.quality, job.width, job.height) == ("full", 1000, 800)
    assert drawn(scheduler, 10.0) is None


def test_moving_is_small_and_standing_still_is_full() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    drawn(scheduler, 0.0)
    scheduler.update(1, looking(1.0), 1.0)
    job = drawn(scheduler, 1.01)
    assert job is not None and (job.quality, job.width, job.height) == ("preview", 500, 400)
    assert drawn(scheduler, 1.02) is None
    job = drawn(scheduler, 1.01 + STILL_AFTER)
    assert job is not None and (job.quality, job.width) == ("full", 1000)


def test_the_same_request_again_is_no_movement() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    drawn(scheduler, 0.0)
    scheduler.update(1, looking(), 1.0)
    assert drawn(scheduler, 1.0) is None


def test_only_the_newest_request_is_drawn() -> None:
    scheduler = FrameScheduler()
    for step in range(5):
        scheduler.update(1, looking(float(step)), 0.01 * step)
    job = drawn(scheduler, 0.05)
    assert job is not None and job.request.pose.position[0] == 4.0
    assert drawn(scheduler, 0.06) is None


def test_a_full_frame_is_dropped_when_its_browser_has_moved_on_but_a_preview_is_not() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    full = scheduler.next(1.0, 0)
    assert full is not None and full.quality == "full"
    scheduler.update(1, looking(1.0), 1.1)
    assert not scheduler.finished(full, 1.2)
    preview = scheduler.next(1.2, 0)
    assert preview is not None and preview.quality == "preview"
    scheduler.update(1, looking(2.0), 1.22)
    assert scheduler.finished(preview, 1.23)
    following = scheduler.next(1.24, 0)
    assert following is not None and following.request.pose.position[0] == 2.0


def test_browsers_take_turns() -> None:
    scheduler = FrameScheduler()
    order = []
    for round_ in range(6):
        for client in (1, 2, 3):
            scheduler.update(client, looking(float(round_)), round_ * 0.01)
        job = drawn(scheduler, round_ * 0.01)
        assert job is not None
        order.append(job.client)
    assert order == [1, 2, 3, 1, 2, 3]


def test_who_moves_goes_before_who_waits_for_a_full_frame() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    scheduler.update(2, looking(), 0.0)
    drawn(scheduler, 0.0)
    drawn(scheduler, 0.0)
    scheduler.update(1, looking(1.0), 1.0)
    drawn(scheduler, 1.0)
    scheduler.update(2, looking(1.0), 1.0 + STILL_AFTER)
    job = drawn(scheduler, 1.0 + STILL_AFTER)
    assert job is not None and (job.client, job.quality) == (2, "preview")


def test_a_browser_that_left_gets_nothing() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    job = scheduler.next(0.0, 0)
    assert job is not None
    scheduler.remove(1)
    assert not scheduler.finished(job, 0.1)
    assert scheduler.next(1.0, 0) is None and len(scheduler) == 0


def test_failures_wait_longer_each_time_and_hold_up_nobody_else() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    now, waits = 0.0, []
    for _ in range(8):
        job = scheduler.next(now, 0)
        assert job is not None
        scheduler.failed(job, now)
        waited = 0.0
        while scheduler.next(now + waited, 0) is None:
            waited += 0.25
        waits.append(waited)
        now += waited
    assert waits == [0.5, 1.0, 2.0, 4.0, RETRY_MOST, RETRY_MOST, RETRY_MOST, RETRY_MOST]
    job = scheduler.next(now, 0)
    assert job is not None
    scheduler.failed(job, now)
    scheduler.update(2, looking(), now)
    other = drawn(scheduler, now)
    assert other is not None and other.client == 2


def test_a_scene_in_training_is_drawn_again_but_not_all_the_time() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    drawn(scheduler, 0.0, generation=1)
    assert drawn(scheduler, 0.5 * REFRESH_EVERY, generation=2) is None
    assert drawn(scheduler, REFRESH_EVERY, generation=3) is not None
    assert drawn(scheduler, 10 * REFRESH_EVERY, generation=3) is None


def test_a_photo_is_scored_once_it_is_drawn_and_again_as_training_goes_on() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(view=3), 0.0)
    assert [job.quality for _ in range(3) if (job := drawn(scheduler, 0.0)) is not None] == ["full", "score"]
    assert drawn(scheduler, 1.0) is None
    kinds = [
        job.quality for step in range(1, 40) if (job := drawn(scheduler, 0.25 * step, generation=step)) is not None
    ]
    assert kinds.count("score") == int(0.25 * 39 / SCORE_EVERY)
    scheduler.update(1, looking(view=4), 10.0)
    kinds = [job.quality for now in (10.0, 10.2, 10.4) if (job := drawn(scheduler, now)) is not None]
    assert kinds == ["preview", "full", "score"]


def test_sizes_follow_the_user() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(still_scale=0.5, moving_scale=0.25), 0.0)
    job = drawn(scheduler, 0.0)
    assert job is not None and (job.width, job.height) == (500, 400)
    scheduler.update(1, looking(1.0, still_scale=0.5, moving_scale=0.25), 1.0)
    job = drawn(scheduler, 1.0)
    assert job is not None and (job.width, job.height) == (250, 200)


def test_a_huge_screen_is_not_drawn_in_full() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, replace(looking(), width=4000, height=3000), 0.0)
    job = drawn(scheduler, 0.0)
    assert (
        job is not None and job.width * job.height <= 1.01 * FULL_PIXELS and abs(job.width / job.height - 4 / 3) < 0.01
    )


def test_the_ladder_settles_where_the_machine_keeps_up() -> None:
    # Seconds for a whole canvas; what a preview costs falls with its area.
    for whole, level in ((0.5 * PREVIEW_SECONDS, 0), (3 * PREVIEW_SECONDS, 2), (100 * PREVIEW_SECONDS, 4)):
        ladder = Ladder()
        seen = []
        for _ in range(100):
            ladder.observe(whole * ladder.scale**2)
            seen.append(ladder.level)
        assert seen[-1] == level and len(set(seen[50:])) == 1


def test_previews_keep_enough_lines_however_slow_the_machine() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    drawn(scheduler, 0.0)
    for step in range(1, 40):
        scheduler.update(1, looking(float(step)), 1.0 + 0.01 * step)
        job = drawn(scheduler, 1.0 + 0.01 * step, seconds=1.0)
        assert job is not None and job.height >= 240


def test_the_viewer_keeps_to_its_share_of_the_time() -> None:
    for frame in (0.005, 0.08, 1.5):
        allowance = Allowance(share=0.1)
        now = spent = 0.0
        while now < 100:
            if allowance.allows(now):
                allowance.spend(frame)
                spent += frame
                now += frame
            else:
                now += 0.02
        assert 0.085 * now < spent <= 0.1 * now + Allowance.BURST + frame


def test_after_a_rest_the_first_movement_is_answered_at_once() -> None:
    allowance = Allowance(share=0.1)
    assert allowance.allows(0.0)
    allowance.spend(0.5)
    assert not allowance.allows(1.0)
    frames = 0
    while allowance.allows(60.0):
        allowance.spend(Allowance.BURST / 9.5)
        frames += 1
    assert frames == 10


def fine_parts(scheduler: FrameScheduler, now: float, generation: int = 0, **more) -> list[int]:
    """The parts of fine frames that are drawn from now on, while nothing else changes."""
    parts = []
    while (job := scheduler.next(now, generation, **more)) is not None and len(parts) < 10:
        assert job.quality == "fine"
        scheduler.finished(job, now)
        parts.append(job.part)
    return parts


def test_what_rests_is_drawn_finely_part_by_part_and_then_no_more() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(fine=True), 0.0)
    drawn(scheduler, 0.0)
    assert fine_parts(scheduler, 0.9 * FINE_AFTER) == []
    assert fine_parts(scheduler, FINE_AFTER) == list(range(FINE_PARTS))
    assert fine_parts(scheduler, 100.0) == []


def test_a_fine_frame_begins_anew_when_the_camera_or_the_scene_has_changed() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(fine=True), 0.0)
    drawn(scheduler, 0.0)
    first = scheduler.next(1.0, 0)
    assert first is not None and first.part == 0
    assert not scheduler.finished(first, 1.0)
    scheduler.update(1, looking(1.0, fine=True), 1.1)
    second = scheduler.next(1.2, 0)
    assert second is not None and second.quality == "preview"
    scheduler.finished(second, 1.2)
    drawn(scheduler, 2.0)
    assert fine_parts(scheduler, 3.0)[:2] == [0, 1]
    drawn(scheduler, 5.0, generation=1)
    assert fine_parts(scheduler, 6.0, generation=1) == list(range(FINE_PARTS))


def test_nothing_is_drawn_finely_beside_training_in_comparisons_or_unasked() -> None:
    for request, training in (
        (looking(fine=True), True),
        (looking(fine=True, view=0, compare="wipe"), False),
        (looking(fine=True, mode="depth"), False),
        (looking(fine=False), False),
    ):
        scheduler = FrameScheduler()
        scheduler.update(1, request, 0.0)
        drawn(scheduler, 0.0)
        scheduler.finished(Job(1, 0, 0, request, "score", 1, 1, 0.0, 0, 90), 0.0)
        assert fine_parts(scheduler, 4.0, training=training) == []


def test_previews_wait_while_two_are_on_their_way_and_nobody_else_does() -> None:
    scheduler = FrameScheduler()
    for client in (1, 2):
        scheduler.update(client, looking(), 0.0)
        drawn(scheduler, 0.0)
    scheduler.update(1, looking(1.0), 1.0)
    drawn(scheduler, 1.0)
    scheduler.update(1, looking(2.0), 1.01)
    assert scheduler.next(1.01, 0, waiting=lambda _: 2001) is None
    assert scheduler.next(1.01, 0, waiting=lambda _: 2000) is not None
    scheduler.update(2, looking(1.0), 1.02)
    job = scheduler.next(1.02, 0, waiting=lambda client: 2001 if client == 1 else 0)
    assert job is not None and job.client == 2


def test_a_slow_link_gets_smaller_pictures_and_a_faster_one_better_ones_again() -> None:
    pace, now = Pace(), 0.0
    pace.sent(1000)
    qualities = []
    for _ in range(100):
        now += 0.05
        assert pace.holds(5000, now)
        qualities.append(pace.jpeg[0])
    assert qualities == sorted(qualities, reverse=True) and pace.jpeg[0] < 30 and pace.scale < 0.5
    for _ in range(400):
        now += 0.05
        assert not pace.holds(1000, now)
    assert (*pace.jpeg, pace.scale) == Pace.LEVELS[0]


def test_a_browser_that_draws_for_itself_gets_nothing_until_it_stops() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(in_browser=True), 0.0)
    assert scheduler.next(0.0, 0) is None and scheduler.next(9.0, 1) is None
    scheduler.update(1, looking(), 10.0)
    assert scheduler.next(10.0, 1) is not None


def test_who_comes_later_begins_at_the_size_that_was_found() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(), 0.0)
    drawn(scheduler, 0.0)
    for step in range(20):
        scheduler.update(1, looking(1.0 + step), 1.0 + 0.1 * step)
        drawn(scheduler, 1.0 + 0.1 * step, seconds=10 * PREVIEW_SECONDS)
    scheduler.update(2, looking(), 5.0)
    drawn(scheduler, 5.0)
    drawn(scheduler, 5.0)
    scheduler.update(2, looking(1.0), 6.0)
    job = drawn(scheduler, 6.0)
    assert job is not None and (job.client, job.quality, job.width) == (2, "preview", 300)


def test_a_photo_that_cannot_be_compared_holds_up_no_picture() -> None:
    scheduler = FrameScheduler()
    scheduler.update(1, looking(view=3), 0.0)
    drawn(scheduler, 0.0)
    score = scheduler.next(1.0, 0)
    assert score is not None and score.quality == "score"
    scheduler.failed(score, 1.0)
    assert scheduler.next(1.0, 0) is None and scheduler.next(60.0, 0) is None
    scheduler.update(1, looking(1.0), 60.1)
    job = scheduler.next(60.1, 0)
    assert job is not None and job.quality == "preview"


def test_one_large_picture_does_not_stop_the_others_for_minutes() -> None:
    allowance = Allowance(0.1)
    assert allowance.allows(0.0)
    allowance.spend(100.0)
    assert not allowance.allows(19.0) and allowance.allows(21.0)
