"""A web server on this machine that misbehaves as told, and a small data set that it offers."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tasks.archives import Archive, DataSet
from tasks.transfer import Patience

Trick = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Answers honestly, ranges and validators included, unless a trick is waiting."""

    site: Site

    def do_GET(self) -> None:
        site = self.site
        name = self.path.rpartition("/")[2]
        with site.lock:
            site.requests.append((self.path, dict(self.headers)))
            site.open += 1
            site.most_open = max(site.most_open, site.open)
            trick = site.tricks.pop(0) if site.tricks else honest
        try:
            if site.linger:
                time.sleep(site.linger)
            if name in site.files:
                trick(self, site.files[name])
            else:
                self.send_error(404)
        except (BrokenPipeError, ConnectionResetError):
            pass  # whom we answered was killed
        finally:
            with site.lock:
                site.open -= 1

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Site:
    """What is offered, what will go wrong, and who asked."""

    files: dict[str, bytes]
    tricks: list[Trick] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    linger: float = 0.0
    open: int = 0
    most_open: int = 0
    address: str = ""

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]


def tag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def honest(handler: Handler, body: bytes) -> None:
    asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
    if not asked or (condition and condition != tag(body)):
        return handler.answer(200, body, ETag=tag(body))
    start = int(asked.removeprefix("bytes=").rstrip("-"))
    if start >= len(body):
        return handler.answer(416, b"", Content_Range=f"bytes */{len(body)}")
    content_range = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return handler.answer(206, body[start:], ETag=tag(body), Content_Range=content_range)


def cut_after(count: int) -> Trick:
    return lambda handler, body: handler.answer(200, body[:count], len(body), ETag=tag(body))


def longer_by(count: int) -> Trick:
    return lambda handler, body: handler.answer(200, body, len(body) + count, ETag=tag(body))


def status(code: int, **headers: str) -> Trick:
    return lambda handler, _body: handler.answer(code, b"", **headers)


def redirected(address: str) -> Trick:
    return lambda handler, _body: handler.answer(302, b"", Location=address)


def corrupted(handler: Handler, body: bytes) -> None:
    handler.answer(200, bytes([body[0] ^ 1]) + body[1:], ETag=tag(body))


def whole_again(handler: Handler, body: bytes) -> None:
    handler.answer(200, body, ETag=tag(body))


def another_range(handler: Handler, body: bytes) -> None:
    handler.answer(206, body[1:], ETag=tag(body), Content_Range=f"bytes 1-{len(body) - 1}/{len(body)}")


def no_such_range(handler: Handler, _body: bytes) -> None:
    handler.answer(416, b"")


def hung_up(handler: Handler, _body: bytes) -> None:
    handler.close_connection = True


def throttled(handler: Handler, body: bytes) -> None:
    handler.answer(200, body[:100], len(body), ETag=tag(body))
    handler.wfile.flush()
    time.sleep(0.5)  # longer than the patience of the tests


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Site]:
    site = Site(files)
    handler = type("ThisHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.progress: list[tuple[str, int, int | None]] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def reached(self, doing: str, done: int, total: int | None) -> None:
        self.progress.append((doing, done, total))

    @property
    def said(self) -> str:
        return "\n".join(self.lines)


class Pauses:
    """Waits that take no time; their lengths are kept."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, _stop: threading.Event, seconds: float) -> None:
        self.seconds.append(seconds)

    def patience(self, attempts: int = 4) -> Patience:
        return Patience(attempts=attempts, timeout=0.2, wait=self)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return packed.getvalue()


MEMBERS = {
    "birds-main/clips.csv": b"clip,species\n1,robin\n",
    **{f"birds-main/audio/{number}.wav": bytes([number]) * 5000 for number in range(1, 5)},
}
BIRDS = zipped(MEMBERS)


def birds(address: str, *, pinned: bool = True, name: str = "birds.zip", size: bool = True) -> DataSet:
    """A data set of four clips, offered at ``address``."""
    digests = (f"md5:{hashlib.md5(BIRDS).hexdigest()}",) if pinned else ()
    archive = Archive(
        name=name, urls=(f"{address}/{name}",), size=len(BIRDS) if size else None, digests=digests
    )
    return DataSet(
        name="birds",
        folder="birds",
        licence="CC BY 4.0",
        page="https://birds.example",
        archives=(archive,),
        download=len(BIRDS),
        unpacked=20_000,
        root="birds-main",
        holds=("clips.csv",),
        counts=(("audio/*.wav", 4),),
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a data set by its path, but the record with its date."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".fetched.json"
    }


OFFICIAL = {name.removeprefix("birds-main/"): content for name, content in MEMBERS.items()}
