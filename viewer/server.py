"""The viewer: a page in the browser that shows frames rendered here.

`view` shows a finished scene until Ctrl-C; a `LiveViewer` given to the trainer as a listener shows a run as it trains.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from splat.errors import SplatError
from splat.train.listeners import EvalReport, Listener, StepReport
from splat.viewer.address import has_place
from splat.viewer.commands import command
from splat.viewer.gallery import Gallery
from splat.viewer.gate import Door, is_loopback, start_server, stop_server
from splat.viewer.link import bytes_on_their_way
from splat.viewer.loading import load, scene_file
from splat.viewer.panels import Panel, add_panels
from splat.viewer.pivot import listen
from splat.viewer.pump import Frame, Pump
from splat.viewer.session import Session, home_stand, view_space
from splat.viewer.source import SceneSource, TrainingSource, open_source
from splat.viewer.trim import trim
from splat.viewer.watch import FileWatch, ReloadOffer

if TYPE_CHECKING:
    import viser

    from splat.train.trainer import Trainer

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"


class Viewer:
    """Serves a scene to any number of browsers, until `close()`.

    Args:
        source: the scene.
        door: where browsers come in.
        watch: of the file that the scene came from, if another may take its place.

    Attributes:
        sessions: the browsers that look now, by viser's number.
    """

    def __init__(self, source: SceneSource, door: Door, watch: FileWatch | None = None) -> None:
        self.source = source
        self._watch = watch
        self._space = view_space(source)
        self.sessions: dict[int, Session] = {}
        self._panels: dict[int, list[Panel]] = {}
        self._pump = Pump(source, self._show, self._complain, self._tick, self._waiting, self._gather)
        self._gallery = Gallery(self._pump)
        self._server, self._link = start_server(door), door.link
        self._set_up_page()
        self._server.on_client_connect(self._join)
        self._server.on_client_disconnect(self._leave)
        self._pump.start()

    def close(self) -> None:
        self._pump.stop()
        stop_server(self._server)

    def _set_up_page(self) -> None:
        server = self._server
        server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False)
        server.gui.set_panel_label(self.source.title)
        server.gui.main_panel.dock_right()
        # Where a page opens, and where viser's own "Reset View" goes. The field of view depends on the window, so it is
        # each session's: set here it would come in that one's way.
        stand = home_stand(self.source, self._space)
        camera = server.initial_camera
        camera.position, camera.look_at, camera.up = stand.position, stand.look_at, stand.up

    def _join(self, client: viser.ClientHandle) -> None:
        session = Session(client, self._pump, self._space, self._gallery)
        session.link = self._link
        self.sessions[client.client_id] = session
        offers = [] if self._watch is None else [ReloadOffer(session, self._watch)]
        self._panels[client.client_id] = [*offers, *add_panels(session)]
        if not session.has_room:
            client.gui.main_panel.minimize()

        @client.camera.on_update
        async def _(_: viser.CameraHandle) -> None:
            session.moved()

        listen(session)
        command(session, "Stop the camera", None, session.hold)
        if has_place(client.camera):
            session.look()
        else:
            session.go_home()
        # It may have gone meanwhile, and the news of that have come before.
        if client.client_id not in self._server.get_clients():
            self._leave(client)

    def _leave(self, client: viser.ClientHandle) -> None:
        session = self.sessions.pop(client.client_id, None)
        if session is not None:
            session.leave()
        self._pump.forget(client.client_id)
        self._panels.pop(client.client_id, None)
        self._pump.begin(trim())

    def _show(self, frame: Frame) -> int:
        session = self.sessions.get(frame.job.client)
        return 0 if session is None else session.show(frame)

    def _waiting(self, client: int) -> int:
        return bytes_on_their_way(self._server, client)

    def _gather(self) -> None:
        for session in list(self.sessions.values()):
            session.catch_up()

    def _complain(self, client: int, problem: str) -> None:
        session = self.sessions.get(client)
        if session is not None:
            session.problem = problem

    def _tick(self) -> None:
        if self._watch is not None:
            self._watch.look()
        for panels in list(self._panels.values()):
            for panel in panels:
                try:
                    panel.refresh()
                except Exception:  # One browser's trouble is nobody else's.
                    log.debug("a group of controls could not be brought up to date", exc_info=True)


class LiveViewer(Listener):
    """Shows a run while it trains, and what it came to until `close()`.

    Args:
        host: address to listen on; every other than loopback lets the network try the door.
        port: None takes 8080 or the next free one, 0 any.
        announce: takes the sentences that hold the link, once there is something to see.

    Raises:
        SplatError: viser is missing, or host and port cannot be had.
    """

    def __init__(
        self, *, host: str = LOOPBACK, port: int | None = None, announce: Callable[[str], object] = print
    ) -> None:
        self.door = Door.open(host, port)
        self._announce = announce
        self._source: TrainingSource | None = None
        self._viewer: Viewer | None = None

    def on_start(self, trainer: Trainer) -> None:
        self._source = TrainingSource(trainer)
        self._viewer = Viewer(self._source, self.door)
        self._announce(announcement(self.door))

    def on_step(self, trainer: Trainer, report: StepReport) -> None:
        if self._source is not None:
            self._source.stepped(report)

    def on_eval(self, trainer: Trainer, report: EvalReport) -> None:
        if self._source is not None:
            self._source.evaluated(report)

    def on_end(self, trainer: Trainer, reason: str) -> None:
        if self._source is not None:
            self._source.end(reason)

    def close(self) -> None:
        if self._viewer is not None:
            self._viewer.close()
        self.door.listener.close()


def view(
    path: Path,
    *,
    host: str = LOOPBACK,
    port: int | None = None,
    device: str = "cpu",
    announce: Callable[[str], object] = print,
) -> None:
    """Shows a scene file or a run's folder until Ctrl-C.

    Args:
        path: a scene file, or the folder that `splat train` made.
        host, port, announce: as of `LiveViewer`.
        device: where to render.

    Raises:
        SplatError: there is no scene, or host and port cannot be had.
    """
    if not scene_file(path).is_file():
        open_source(path, device)  # Raises, and no page is needed to say so.
    door = Door.open(host, port)
    try:
        announce(announcement(door))
        watch = FileWatch(scene_file(path))
        source = load(path, door, device)
        while True:
            viewer = Viewer(source, door.again(), watch)
            try:
                watch.reload.wait()
            finally:
                viewer.close()
            watch = FileWatch(scene_file(path))
            try:
                source = load(path, door, device)
            except Exception as problem:  # A larger scene may not fit beside the one that is shown.
                if not isinstance(problem, SplatError):
                    log.exception("the new scene could not be read")
                announce(f"{str(problem) or type(problem).__name__}. The scene from before is shown again.")
    except KeyboardInterrupt:
        pass
    finally:
        door.listener.close()


def announcement(door: Door) -> str:
    """What to tell the user: where to look, and who else could."""
    lines, port = [f"Viewer: {door.link}"], door.port
    if not is_loopback(door.gate.host):
        lines.append(
            "Warning: other machines can reach this viewer. Whoever has the link can look and use the controls, and it "
            f"travels unencrypted (plain http); safer: listen on {LOOPBACK} and use ssh -L {port}:{LOOPBACK}:{port}"
        )
    elif os.environ.get("SSH_CONNECTION"):
        lines.append(f"From your own computer first: ssh -N -L {port}:{LOOPBACK}:{port} {socket.gethostname()}")
    return "\n".join(lines)
