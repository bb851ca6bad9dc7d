"""One address to one file: resumed by ranges, retried with growing pauses, and no server is believed.

The bytes go to ``NAME.part``; ``NAME.part.json`` beside it says which version of the file they are of
(RFC 9110: the entity tag, the date, the length), and is written before the first byte. A later call
goes on where the first stopped only where the server, or a pinned checksum, proves that it may.
"""

from __future__ import annotations

import email.utils
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from tasks.transfer import Again, FetchFailed, Stopped, Transfer, Unavailable, Version

CHUNK = 1 << 18  # bytes read at once
CHECK_EVERY = 1 << 28  # bytes between two looks at the free disk
SPARE = 200_000_000  # bytes of the disk that stay free
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
AGENT = "sourcebench-fetch (data sets of audio benchmarks)"


class HonestRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are followed, but never from https to plain http."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], *rest: Any) -> Any:
        """The next request; raises :class:`Unavailable` for a downgrade."""
        newer = super().redirect_request(req, fp, *rest)
        if newer is not None and req.type == "https" and newer.type != "https":
            raise Unavailable(f"{req.full_url} redirects to {newer.full_url}, which is not encrypted")
        return newer


def download(transfer: Transfer) -> None:
    """Fill the ``.part``; raises :class:`Unavailable`, :class:`Stopped` or :class:`FetchFailed`."""
    failures, best = 0, transfer.here()
    while True:
        try:
            receive(transfer)
            return
        except Again as fault:
            failures = 1 if transfer.here() > best else failures + 1
            best = max(best, transfer.here())
            reason, after = str(fault), fault.after
        patience = transfer.patience
        if failures >= patience.attempts:
            raise Unavailable(f"{reason}, {failures} times in a row")
        if after is not None and after > patience.most_asked:
            raise Unavailable(f"{reason} and asks to wait {after / 60:.0f} minutes")
        seconds = min(patience.longest, patience.first * 2 ** (failures - 1))
        seconds = max(seconds, after or 0.0)
        transfer.say(f"{transfer.archive.name}: {reason}; again in {seconds:.0f} s")
        patience.wait(transfer.stop, seconds)
        if transfer.stop.is_set():
            raise Stopped


def receive(transfer: Transfer) -> None:
    """One request and its answer; raises :class:`Again` where another may bring more."""
    version = transfer.version()
    have = transfer.here()
    if have and not may_continue(transfer, version):
        transfer.forget()
        have, version = 0, None
    if have and version and have == (transfer.archive.size or version.size):
        return  # it was all there; its checksum will say whether it is right
    request = urllib.request.Request(transfer.url)
    request.add_header("User-Agent", AGENT)
    request.add_header("Accept-Encoding", "identity")  # the checksum is of the file as it is
    if have:
        request.add_header("Range", f"bytes={have}-")
        if version and version.url == transfer.url and version.validator:
            request.add_header("If-Range", version.validator)
    try:
        response = opened(request, transfer.patience.timeout)
    except urllib.error.HTTPError as answer:
        with answer:
            if refused(answer, transfer, have):
                return
            raise Unavailable(f"the server answers {answer.code} {answer.reason}") from answer
    with response:
        length = whole(response.headers.get("Content-Length"))
        etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        if response.status == 206:
            content_range = response.headers.get("Content-Range", "")
            total = continued(transfer, content_range, have, version, etag)
        elif response.status == 200:
            if have:
                transfer.say(f"{transfer.archive.name}: the server begins at the start again")
            have, total = 0, length
        else:
            raise Unavailable(f"the server answers {response.status} {response.reason}")
        official = transfer.archive.size
        if official is not None and total is not None and total != official:
            raise Unavailable(
                f"the server offers {total:,} bytes where the official file has {official:,}"
            )
        total = official if total is None else total
        if have == 0:
            transfer.begin(Version(transfer.url, etag, modified, total))
        read_body(transfer, response, have, total)


def opened(request: urllib.request.Request, timeout: float) -> Any:
    """The answer; proxies are those of the environment (https_proxy, no_proxy)."""
    try:
        return urllib.request.build_opener(HonestRedirects).open(request, timeout=timeout)
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise Unavailable(
                f"its https certificate is not trusted ({error.reason.verify_message}). Is this "
                "machine's clock right? Behind a proxy with a certificate of its own, point "
                "SSL_CERT_FILE at that certificate"
            ) from error
        raise Again(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise Again(f"the connection broke ({described(error)})") from error


def refused(answer: urllib.error.HTTPError, transfer: Transfer, have: int) -> bool:
    """Whether an error says that everything is there; raises :class:`Again` for what may pass."""
    if answer.code == 416 and have:
        total = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
        if total and int(total[1]) == have:
            return True
        transfer.forget()
        raise Again("the server has no such range, so from the start")
    if answer.code in TRANSIENT:
        after = seconds_asked(answer.headers.get("Retry-After"))
        raise Again(f"the server answers {answer.code} {answer.reason}", after) from answer
    return False


def may_continue(transfer: Transfer, version: Version | None) -> bool:
    """Whether the bytes there can be told from those of another version of the file.

    A pinned checksum finds a mixture in the end; where there is none, only a validator does.
    """
    if version is None:
        return False
    if transfer.archive.digests and not transfer.archive.regenerated:
        return True
    return version.url == transfer.url and (version.etag or version.modified) is not None


def continued(
    transfer: Transfer, content_range: str, have: int, version: Version | None, etag: str | None
) -> int | None:
    """The whole file's length from a 206; raises :class:`Again` where it is not what was asked for."""
    matched = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range.strip())
    problem = None
    if not matched or int(matched[1]) != have:
        problem = "the server sent another range than asked for"
    total = int(matched[3]) if matched and matched[3] != "*" else None
    if version is not None:
        if version.size is not None and total is not None and total != version.size:
            problem = "the file on the server has another length now"
        same_place = version.url == transfer.url
        if same_place and None not in (version.etag, etag) and version.etag != etag:
            problem = "the file on the server is another one now"
    if problem:
        transfer.forget()
        raise Again(f"{problem}, so from the start")
    return total


def read_body(transfer: Transfer, response: Any, have: int, total: int | None) -> None:
    """Append the answer to the ``.part``; raises :class:`Again` where it ends too early."""
    checked = have - CHECK_EVERY
    most = transfer.most if total is None else total
    with transfer.part.open("ab") as file:
        while total is None or have < total:
            if transfer.stop.is_set():
                raise Stopped
            if have - checked >= CHECK_EVERY:
                checked = have
                check_room(transfer.part, have, total)
            try:
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise Again(f"the connection broke ({described(error)})") from error
            if not chunk:
                break
            have += len(chunk)
            if have > most:
                raise Unavailable(f"the server sends more than {most:,} bytes")
            file.write(chunk)
            transfer.reached(have)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and have < total:
        raise Again(f"the connection ended after {have:,} of {total:,} bytes")


def check_room(part: Path, have: int, total: int | None) -> None:
    """Refuse to fill the disk; raises :class:`FetchFailed`."""
    free = shutil.disk_usage(part.parent).free
    wanted = SPARE + (0 if total is None else total - have)
    if free < wanted:
        raise FetchFailed(
            f"{part.name.removesuffix('.part')} needs {wanted / 1e9:.1f} GB more, but "
            f"{free / 1e9:.1f} GB are free at {part.parent}. What came so far is kept: free some and "
            "type it again, or choose another disk: paths.data=FOLDER."
        )


def seconds_asked(retry_after: str | None) -> float | None:
    """Retry-After as seconds from now: a number of seconds or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def whole(text: str | None) -> int | None:
    """A length that a header states; None where it states none."""
    return int(text) if text is not None and text.strip().isdecimal() else None


def described(error: Exception) -> str:
    """What an exception says, or what it is where it says nothing."""
    return str(error) or type(error).__name__
