"""Path: keys that the camera passes, the flight through them, and its video."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from splat.errors import SplatError
from splat.flight import EASINGS, Easing, Flight, Key, View
from splat.formats.flight import LEAST_FOV, LEAST_SECONDS, MOST_FOV, MOST_KEYS, MOST_SECONDS, from_json, to_json
from splat.viewer.commands import command
from splat.viewer.panels.text import duration, number, paragraph, without_folders
from splat.viewer.panels.values import chosen, clamped, on_choice, pixels, within
from splat.viewer.path import Player, orbit, pose_at, through_photos, view_of
from splat.viewer.record import MOST_SIDE, Recording, file_name
from splat.viewer.session import Session
from splat.viewer.source import TrainingSource

if TYPE_CHECKING:
    import viser

ADVICE = "Move the camera and press **Add key** (K), move on and add another: the camera flies from key to key."
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
TYPED = "other"
#: Changes that can be taken back.
STEPS_BACK = 100
#: Bytes of a path's file, at most.
MOST_BYTES = 4_000_000
#: Keys of which the scene shows where they are, at most, and points of the line through them.
SHOWN_KEYS, SHOWN_POINTS = 100, 400
#: Size of a key in the scene, view space; colours of the path, of its keys and of the chosen one.
KEY_SIZE, LINE, KEY, CHOSEN = 0.12, (255, 255, 255), (120, 190, 255), (255, 180, 60)


class PathPanel:
    """A path of this browser's own."""

    def __init__(self, session: Session) -> None:
        self._session, self._player = session, Player(session)
        self._chosen = 0
        self._lock = threading.RLock()
        self._recording: Recording | None = None
        self._before: deque[Flight] = deque(maxlen=STEPS_BACK)
        self._shown: list[Any] = []
        self._shown_in = session.space
        self._build()
        command(session, "Add a key to the path", "K", self._add)
        command(session, "Play or stop the path", "V", self._toggle)
        self._show()

    # What there is to see and press.

    def _build(self) -> None:
        gui, session = self._session.client.gui, self._session
        self._text = gui.add_markdown(ADVICE)
        add = gui.add_button("Add key", hint="The camera will pass here: a key after the chosen one. Also the key K.")
        presets = ("orbit", "photos") if session.source.views else ("orbit",)
        preset = gui.add_button_group(
            "Ready-made",
            presets,
            hint="Replaces the path. Orbit: once around what the camera turns around, from where it is. "
            "Photos: from photo to photo.",
        )
        self._undo = gui.add_button("Undo", color="gray", visible=False, hint="Takes the last change of the path back.")
        self._time = gui.add_slider("Time", 0.0, 1.0, 0.01, 0.0, hint="Seconds from the start; drag to look there.")
        self._play = gui.add_button(
            "Play", hint="Flies along the path, until you move the camera yourself. Also the key V."
        )
        self._key_folder = gui.add_folder("Key")
        with self._key_folder:
            self._key = gui.add_dropdown("Key", ["1"], hint="Goes to a key of the path.")
            actions = gui.add_button_group(
                "Do",
                ("go to", "set here", "delete"),
                hint="Go to: puts the camera at the key. Set here: puts the key where the camera is.",
            )
            order = gui.add_button_group("Move", ("◀ earlier", "later ▶"), hint="Changes the order of the keys.")
            self._travel = gui.add_number(
                "Way, s", 2.0, min=LEAST_SECONDS, max=MOST_SECONDS, step=0.1, hint="Seconds from the key before to it."
            )
            self._hold = gui.add_number(
                "Rest, s", 0.0, min=0.0, max=MOST_SECONDS, step=0.1, hint="Seconds that the camera stays at it."
            )
            self._fov = gui.add_number(
                "View, °",
                50.0,
                min=LEAST_FOV,
                max=MOST_FOV,
                step=1.0,
                hint="Vertical field of view, degrees: small is near, as through a long lens.",
            )
        self._flight_folder = gui.add_folder("Flight")
        with self._flight_folder:
            self._length = gui.add_number(
                "Length, s",
                1.0,
                min=LEAST_SECONDS,
                max=MOST_SECONDS,
                step=0.5,
                hint="Of all of it; stretches all times.",
            )
            even = gui.add_button(
                "One speed", color="gray", hint="Shares the time out so that the camera is equally fast throughout."
            )
            self._easing = gui.add_dropdown(
                "Motion", EASINGS, hint="Smooth: starts and ends softly. Linear: one speed from key to key."
            )
            self._loop = gui.add_checkbox("Loop", False, hint="Goes on from the last key to the first.")
            self._aim = gui.add_checkbox(
                "Fixed aim", False, hint="Looks at one point all the way: the one that the camera turns around now."
            )
        self._video_folder = gui.add_folder("Video", expand_by_default=False)
        with self._video_folder:
            self._size = gui.add_dropdown(
                "Size", [*SIZES, TYPED], initial_value="1080p", hint="Of the video's pictures."
            )
            self._typed = gui.add_vector2(
                "Pixels",
                (1080, 1080),
                min=(2, 2),
                max=(MOST_SIDE, MOST_SIDE),
                step=2,
                visible=False,
                hint="Width and height.",
            )
            self._fps = gui.add_number("Per second", 30, min=1, max=120, step=1, hint="Pictures a second.")
            self._render = gui.add_button("Render video", hint="Draws it and offers an MP4 file to download.")
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._cancel = gui.add_button("Cancel", visible=False, hint="Gives the video up; nothing is kept.")
            self._progress = gui.add_html("", visible=False)
        with gui.add_folder("File", expand_by_default=False):
            save = gui.add_button(
                "Save path", hint="Downloads it; for `splat render RUN --path FILE -o VIDEO.mp4`, or to load it again."
            )
            load = gui.add_upload_button(
                "Load path", mime_type="application/json", hint="A file that Save path made; replaces the path."
            )

        add.on_click(lambda _: self._add())
        on_choice(preset, self._take)
        self._undo.on_click(lambda _: self._go_back())
        self._time.on_update(lambda event: self._seek() if event.client else None)
        self._play.on_click(lambda _: self._toggle())
        on_choice(self._key, self._choose, by_hand=True)
        on_choice(actions, self._act)
        on_choice(order, lambda way: self._reorder(-1 if way.startswith("◀") else 1))
        for handle in (self._travel, self._hold, self._fov):
            handle.on_update(lambda event: self._set_key() if event.client else None)
        self._length.on_update(lambda event: self._stretch() if event.client else None)
        even.on_click(lambda _: self._change(Flight.evened))
        for handle in (self._easing, self._loop):
            handle.on_update(lambda event: self._set_flight() if event.client else None)
        self._aim.on_update(lambda event: self._set_aim() if event.client else None)
        self._size.on_update(lambda _: setattr(self._typed, "visible", self._size.value == TYPED))
        self._render.on_click(lambda _: self._start_video())
        self._cancel.on_click(lambda _: self._recording.cancel() if self._recording else None)
        save.on_click(lambda _: self._save())
        load.on_upload(lambda _: self._load(load.value.name, load.value.content))

    def refresh(self) -> None:
        playing = self._player.playing
        label = "Stop" if playing else "Play"
        if playing or self._play.label != label:
            self._play.label = label
            self._time.value = round(min(self._player.time, self._time.max), 2)
        for shown in self._shown:
            if shown.visible == playing:
                shown.visible = not playing
        if self._shown_in is not self._session.space:
            self._draw()
        if self._recording is not None:
            self._report(self._recording)

    def _show(self) -> None:
        """Makes all controls say what is so."""
        flight, keys = self._player.flight, self._player.flight.keys
        self._chosen = max(0, min(self._chosen, len(keys) - 1))
        self._text.content = (
            f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} · {duration(flight.duration)}" if keys else ADVICE
        )
        some, flies = bool(keys), len(keys) > 1
        for handle in (self._time, self._play, self._flight_folder, self._video_folder):
            handle.visible = flies
        self._key_folder.visible = some
        self._undo.visible = bool(self._before)
        if some:
            self._key.options = tuple(
                f"{index} · {arrival:.1f} s" for index, arrival in enumerate(flight.arrivals, start=1)
            )
            self._key.value = self._key.options[self._chosen]
            key = keys[self._chosen]
            self._travel.value, self._hold.value = round(key.travel, 2), round(key.hold, 2)
            self._fov.value = round(math.degrees(key.fov), 1)
            self._travel.visible = flies and (self._chosen > 0 or flight.loop)
        if flies:
            self._time.max = round(flight.duration, 2)
            self._time.value = round(min(self._player.time, flight.duration), 2)
            self._length.value = round(flight.duration, 2)
        self._easing.value, self._loop.value, self._aim.value = flight.easing, flight.loop, flight.look_at is not None
        self._draw()

    def _draw(self) -> None:
        """Shows the keys and the line through them in the scene."""
        client, space, flight = self._session.client, self._session.space, self._player.flight
        with self._lock, client.atomic():
            for shown in self._shown:
                shown.remove()
            self._shown, self._shown_in = [], space
            keys = flight.keys
            for index in np.unique(np.linspace(0, len(keys) - 1, min(len(keys), SHOWN_KEYS)).round().astype(int)):
                self._shown.append(self._draw_key(int(index), keys[index]))
            if len(keys) > 1:
                moments = np.linspace(0, flight.duration, SHOWN_POINTS)
                views = [flight.at(float(moment)).viewmat for moment in moments]
                points = space.to_view(np.stack([-viewmat[:3, :3].T @ viewmat[:3, 3] for viewmat in views]))
                segments = np.stack([points[:-1], points[1:]], axis=1)
                line = client.scene.add_line_segments(
                    "/path/line", segments, LINE, thickness=2.0, thickness_units="screen"
                )
                self._shown.append(line)

    def _draw_key(self, index: int, key: Key) -> viser.CameraFrustumHandle:
        pose = pose_at(self._session.space, View(key.viewmat, key.fov))
        width, height = self._pixels()
        frustum = self._session.client.scene.add_camera_frustum(
            f"/path/key {index + 1}",
            fov=pose.fov,
            aspect=width / height,
            scale=KEY_SIZE,
            color=CHOSEN if index == self._chosen else KEY,
            thickness=2.0,
            thickness_units="screen",
            wxyz=pose.wxyz,
            position=pose.position,
        )
        frustum.on_click(lambda _: self._pick(index))
        return frustum

    # What the controls do.

    def _change(self, change: Callable[[Flight], Flight], chosen: int | None = None) -> None:
        """Replaces the flight by what becomes of it."""
        with self._lock:
            before, after = self._player.flight, change(self._player.flight)
            if after != before:
                self._before.append(before)
            self._become(after, chosen)

    def _go_back(self) -> None:
        with self._lock:
            if self._before:
                self._become(self._before.pop())

    def _become(self, flight: Flight, chosen: int | None = None) -> None:
        self._player.stop()
        self._player.flight = flight
        self._player.time = min(self._player.time, flight.duration)
        self._chosen = self._chosen if chosen is None else chosen
        self._show()

    def _add(self) -> None:
        with self._lock:
            keys = self._player.flight.keys
            if len(keys) >= MOST_KEYS:
                self._session.tell(f"A path has at most {MOST_KEYS} keys; delete some first.")
                return
            at = self._chosen + 1 if keys else 0
            added = (*keys[:at], self._here(), *keys[at:])
            self._change(lambda flight: replace(flight, keys=added), at)

    def _here(self) -> Key:
        """A key where the camera is."""
        view = view_of(self._session.space, self._session.chosen.pose)
        return Key.of(view.viewmat, view.fov)

    def _take(self, preset: str) -> None:
        session = self._session
        if preset == "photos":
            flight = through_photos(session.source.views)
        else:
            flight = orbit(session.space, session.chosen.pose, session.stand.look_at)
        self._player.time = 0.0
        self._change(lambda _: flight, 0)

    def _pick(self, index: int) -> None:
        """Makes a key the chosen one and goes there."""
        with self._lock:
            self._chosen = index
            self._show()
            self._player.show(self._player.flight.keys[self._chosen])

    def _choose(self, label: str) -> None:
        self._pick(int(label.split(" ", maxsplit=1)[0]) - 1)

    def _act(self, action: str) -> None:
        with self._lock:
            keys, index = self._player.flight.keys, self._chosen
            if not keys:
                return
            if action == "go to":
                self._player.show(keys[index])
            elif action == "delete":
                self._change(lambda flight: replace(flight, keys=keys[:index] + keys[index + 1 :]))
            else:
                here = replace(self._here(), travel=keys[index].travel, hold=keys[index].hold)
                self._change(lambda flight: replace(flight, keys=(*keys[:index], here, *keys[index + 1 :])))

    def _reorder(self, by: int) -> None:
        with self._lock:
            keys, there = list(self._player.flight.keys), self._chosen + by
            if 0 <= there < len(keys):
                keys[self._chosen], keys[there] = keys[there], keys[self._chosen]
                self._change(lambda flight: replace(flight, keys=tuple(keys)), there)

    def _set_key(self) -> None:
        with self._lock:
            keys, index = self._player.flight.keys, self._chosen
            if keys:
                key = replace(
                    keys[index],
                    fov=math.radians(within(self._fov, math.degrees(keys[index].fov))),
                    travel=within(self._travel, keys[index].travel),
                    hold=within(self._hold, keys[index].hold),
                )
                self._change(lambda flight: replace(flight, keys=(*keys[:index], key, *keys[index + 1 :])))

    def _stretch(self) -> None:
        flight = self._player.flight
        if len(flight.keys) > 1:
            shortest = LEAST_SECONDS / min(key.travel for key in flight.keys) * flight.duration
            seconds = clamped(self._length.value, shortest, MOST_SECONDS, flight.duration)
            self._change(lambda flight: flight.lasting(seconds))

    def _set_flight(self) -> None:
        easing, loop = chosen(self._easing), bool(self._loop.value)
        self._change(lambda flight: replace(flight, easing=cast(Easing, easing or flight.easing), loop=loop))

    def _set_aim(self) -> None:
        x, y, z = (float(value) for value in self._session.space.to_scene(self._session.stand.look_at))
        self._change(lambda flight: replace(flight, look_at=(x, y, z) if self._aim.value else None))

    def _seek(self) -> None:
        if self._player.flight.keys:
            self._player.seek(within(self._time, self._player.time))

    def _toggle(self) -> None:
        if self._player.playing:
            self._player.stop()
        elif len(self._player.flight.keys) > 1:
            self._player.play()
        else:
            self._session.tell("A path has two keys or more; the key K adds one where the camera is.")
        self.refresh()

    # Files.

    def _save(self) -> None:
        source, flight = self._session.source, self._player.flight
        if not flight.keys:
            self._session.tell("There are no keys to save yet.")
            return
        content = to_json(flight.transform(np.linalg.inv(_normalization(self._session)))).encode()
        self._session.client.send_file_download(file_name(source.title, "-path.json"), content, save_immediately=True)

    def _load(self, name: str, content: bytes) -> None:
        try:
            if len(content) > MOST_BYTES:
                raise SplatError(f"{name} is too large for a path: choose a file that Save path made.")
            flight = from_json(content, Path(name).name[:80])
        except SplatError as error:
            self._session.tell(str(error))
            return
        flight = flight.transform(_normalization(self._session))
        self._player.time = 0.0
        self._change(lambda _: flight, 0)

    def _pixels(self) -> tuple[int, int]:
        return SIZES.get(self._size.value) or pixels(self._typed)

    def _start_video(self) -> None:
        session = self._session
        with self._lock:
            if self._recording is not None and not self._recording.ended:
                return
            name = file_name(session.source.title, ".mp4")
            try:
                recording = Recording(
                    session.source,
                    session.chosen,
                    session.space.near,
                    self._player.flight,
                    *self._pixels(),
                    round(within(self._fps, 30)),
                    lambda file: session.client.send_file_download(name, file),
                )
            except SplatError as error:
                session.tell(str(error))
                return
            self._recording = recording
            self._bar.value = 0.0
            self._render.visible, self._bar.visible, self._cancel.visible, self._progress.visible = (
                False,
                True,
                True,
                True,
            )
            self._report(recording)
        session.pump.begin(self._pieces(recording))

    def _pieces(self, recording: Recording) -> Iterator[None]:
        """Of the video, as long as there is somebody to have it."""
        for _ in recording.pieces():
            if self._session.left:
                recording.cancel()
            yield

    def _report(self, recording: Recording) -> None:
        """Says how far a video is, and once how it ended."""
        if recording.ended:
            self._recording = None
            self._render.visible, self._bar.visible, self._cancel.visible = True, False, False
            ended = without_folders(recording.problem) or "Done: the page offers it to download."
            self._progress.content = paragraph(ended)
            return
        self._bar.value = 100 * recording.done / recording.total
        left = recording.seconds_left
        text = f"Picture {number(recording.done)} of {number(recording.total)}"
        self._progress.content = paragraph(text if left is None else f"{text} · {duration(left)} left")


def _normalization(session: Session) -> np.ndarray:
    """[4, 4] from the world of a run's scene.ply, in which paths are saved, to that of the Gaussians shown."""
    if isinstance(session.source, TrainingSource):
        return session.source.trainer.scene.normalization.double().cpu().numpy()
    return np.eye(4)
