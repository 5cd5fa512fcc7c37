"""Pictures on their way to a browser: sent as they are encoded, and counted until they have arrived.

What viser keeps to itself and we need for that is in this file: the message that holds a picture's bytes, and the
connection to a browser.
"""

from __future__ import annotations

import array
import contextlib
import sys
from typing import TYPE_CHECKING

import cv2
from torch import Tensor

if TYPE_CHECKING:
    import viser


def send_picture(client: viser.ClientHandle, image: Tensor, jpeg_quality: int) -> int:
    """Puts a picture behind all that the browser draws itself; one that still waits to be sent is replaced.

    Args:
        image: [H, W, 3] uint8.
        jpeg_quality: in [0, 100].

    Returns:
        How many bytes it has.
    """
    from viser._messages import BackgroundImageMessage

    bgr = cv2.cvtColor(image.numpy(), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpeg", bgr, [int(cv2.IMWRITE_JPEG_QUALITY), jpeg_quality])[1].tobytes()
    client._websock_connection.queue_message(BackgroundImageMessage("jpeg", encoded, None))
    client.flush()
    return len(encoded)


def bytes_on_their_way(server: viser.ViserServer, client: int) -> int:
    """How many bytes for a browser have been sent but not acknowledged; 0 where that cannot be known."""
    connection = server._websock_server._live_connections.get(client)
    if connection is None:
        return 0
    waiting = connection.transport.get_write_buffer_size()
    socket = connection.transport.get_extra_info("socket")
    if sys.platform == "linux" and socket is not None:
        import fcntl
        import termios

        # The socket may close at any moment.
        with contextlib.suppress(OSError, ValueError):
            unacknowledged = array.array("i", [0])
            fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, unacknowledged)
            waiting += unacknowledged[0]
    return waiting
