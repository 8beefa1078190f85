"""Run as a script: the process that makes the processes which hold the namespaces of pods.

It stands alone and imports little, so that a fork of it costs a fraction of a millisecond and a few hundred kilobytes;
that is why it is not a part of the node's own process. Asked over a socket (descriptor 3, one JSON message each way per
sandbox), it forks twice: the first child makes the namespaces, the second stays in them, is an orphan of the node's
pid 1, and does nothing but be there. With a PID namespace of its own it is pid 1 in that, and takes its zombies.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct

SOCKET = 3
_MESSAGE = 64 * 1024
_CLONE_NEWNET, _CLONE_NEWPID = 0x40000000, 0x20000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # first children are reaped by the kernel
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    channel = socket.socket(fileno=SOCKET)
    while True:
        message = channel.recv(_MESSAGE)
        if not message:
            return
        if os.fork() == 0:
            _first_child(libc, channel, json.loads(message))


def _first_child(libc: ctypes.CDLL, channel: socket.socket, asked: dict[str, object]) -> None:
    answer: dict[str, object] = {"id": asked["id"]}
    try:
        if libc.unshare(int(str(asked["namespaces"]))) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"new namespaces: {os.strerror(number)}")
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            channel.close()
            os.close(read)
            _second_child(write, asked)
        os.close(write)
        failure = os.read(read, _MESSAGE).decode(errors="replace")
        answer |= {"error": failure} if failure else {"pid": pid}
    except OSError as error:
        answer["error"] = error.strerror or str(error)
    channel.send(json.dumps(answer).encode())
    os._exit(0)


def _second_child(ready: int, asked: dict[str, object]) -> None:
    try:
        os.setsid()
        socket.sethostname(str(asked["hostname"]))
        if int(str(asked["namespaces"])) & _CLONE_NEWNET:
            _loopback_up()
        _sysctls(asked["wishes"], required=False)
        _sysctls(asked["sysctls"], required=True)
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
    except BaseException as error:
        os.write(ready, str(error).encode())
        os._exit(1)
    os.closerange(3, 64)  # `ready` among them: all is well
    while True:
        signal.pause()


def _sysctls(settings: object, *, required: bool) -> None:
    assert isinstance(settings, dict)
    for name, value in settings.items():
        try:
            with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
                file.write(str(value))
        except OSError as error:
            if required:
                raise OSError(error.errno, f"sysctl {name}={value}: {error.strerror}") from error


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        name, flags, rest = struct.unpack("16sH14s", fcntl.ioctl(asked, _SIOCGIFFLAGS, request))
        fcntl.ioctl(asked, _SIOCSIFFLAGS, struct.pack("16sH14s", name, flags | _IFF_UP, rest))


if __name__ == "__main__":
    main()
