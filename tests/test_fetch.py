"""Fetching against servers that break off, lie and stall: it ends in the official files or in a reason.

.venv/bin/python -m pytest tests/test_fetch.py
"""

from __future__ import annotations

import dataclasses
import email.utils
import hashlib
import json
import ssl
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fetch_server as web
import pytest

from tasks import BadData, DataMissing, UsageError, archives
from tasks import download as downloading
from tasks import fetch as fetching
from tasks.archives import DATA_SETS, DataSet
from tasks.obtaining import CONNECTIONS, Wishes
from tasks.transfer import FetchFailed


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site() -> Iterator[web.Site]:
    with web.serving({"birds.zip": web.BIRDS}) as opened:
        yield opened


class Fetched:
    """One call, and what was heard of it."""

    def __init__(self, data_set: DataSet, data: Path, attempts: int = 4, **wishes: object) -> None:
        self.heard, self.pauses = web.Heard(), web.Pauses()
        asked = Wishes(patience=self.pauses.patience(attempts), **wishes)  # type: ignore[arg-type]
        (self.root,) = fetching.fetch([data_set], data, asked, self.heard)


def assert_official(data: Path) -> None:
    assert web.tree(data / "birds") == web.OFFICIAL
    assert not (data / ".fetch" / "birds").exists(), "archives are removed when they are unpacked"


def test_a_data_set_comes_whole_with_a_record_of_where_from(site: web.Site, tmp_path: Path) -> None:
    done = Fetched(web.birds(site.address), tmp_path)
    assert_official(tmp_path)
    record = json.loads((done.root / ".fetched.json").read_text())
    assert record["licence"] == "CC BY 4.0"
    assert record["archives"] == {"birds.zip": {"md5": hashlib.md5(web.BIRDS).hexdigest()}}
    assert ("downloading birds", len(web.BIRDS), len(web.BIRDS)) in done.heard.progress


def test_a_second_call_does_nothing_and_says_so(site: web.Site, tmp_path: Path) -> None:
    Fetched(web.birds(site.address), tmp_path)
    asked = len(site.requests)
    assert "already there" in Fetched(web.birds(site.address), tmp_path).heard.said
    assert len(site.requests) == asked


def test_what_a_killed_call_did_not_clean_up_is_cleaned_up(site: web.Site, tmp_path: Path) -> None:
    Fetched(web.birds(site.address), tmp_path)
    left = tmp_path / ".fetch" / "birds"
    for name in ("archives", "unpacked", "ready"):
        (left / name).mkdir(parents=True)
    Fetched(web.birds(site.address), tmp_path)
    assert_official(tmp_path)
    assert len(site.requests) == 1


def test_a_folder_that_is_not_the_official_one_is_left_alone(site: web.Site, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "clips.csv").write_text("mine")
    with pytest.raises(BadData, match=r"audio/\*.wav finds 0 files, expected 4.*Move it away"):
        Fetched(web.birds(site.address), tmp_path)
    assert (tmp_path / "birds" / "clips.csv").read_text() == "mine"
    assert not site.requests


# ---------------------------------------------------------------------------------------------------
# Servers


@pytest.mark.parametrize(
    ("tricks", "ranges"),
    [
        ([web.cut_after(700)], [None, "bytes=700-"]),
        ([web.cut_after(700), web.cut_after(300)], [None, "bytes=700-", "bytes=300-"]),
        ([web.cut_after(700), web.whole_again], [None, "bytes=700-"]),
        ([web.cut_after(700), web.another_range], [None, "bytes=700-", None]),
        ([web.cut_after(700), web.no_such_range], [None, "bytes=700-", None]),
        ([web.hung_up, web.hung_up], [None, None, None]),
        ([web.status(500), web.status(503)], [None, None, None]),
        ([web.throttled], [None, "bytes=100-"]),
        ([web.corrupted], [None, None]),
        ([web.cut_after(700), web.hung_up, web.status(502)], [None, *["bytes=700-"] * 3]),
    ],
    ids=[
        *("truncates", "truncates twice", "ignores the range", "sends another range", "answers 416"),
        *("hangs up", "fails", "stalls", "corrupts", "everything"),
    ],
)
def test_a_server_that_misbehaves_gives_the_official_files_in_the_end(
    tricks: list[web.Trick], ranges: list[str | None], site: web.Site, tmp_path: Path
) -> None:
    site.tricks += tricks
    Fetched(web.birds(site.address), tmp_path)
    assert_official(tmp_path)
    assert site.ranges() == ranges


def test_pauses_double_and_what_the_server_asks_for_is_honoured(site: web.Site, tmp_path: Path) -> None:
    date = email.utils.formatdate(time.time() + 300, usegmt=True)
    site.tricks += [web.status(503)] * 3
    site.tricks += [web.status(429, Retry_After="120"), web.status(429, Retry_After=date)]
    done = Fetched(web.birds(site.address), tmp_path, attempts=8)
    assert done.pauses.seconds[:4] == [1.0, 2.0, 4.0, 120.0]
    assert 280 < done.pauses.seconds[4] <= 300
    assert "429" in done.heard.said


def test_a_server_that_asks_for_hours_is_not_waited_for(site: web.Site, tmp_path: Path) -> None:
    site.tricks += [web.status(429, Retry_After="7200")]
    with pytest.raises(FetchFailed, match="asks to wait 120 minutes"):
        Fetched(web.birds(site.address), tmp_path)


def test_a_server_that_brings_nothing_new_is_given_up_and_what_came_is_kept(
    site: web.Site, tmp_path: Path
) -> None:
    site.tricks += [web.cut_after(700), *[web.hung_up] * 4]
    with pytest.raises(FetchFailed, match="4 times in a row") as error:
        Fetched(web.birds(site.address), tmp_path)
    for cure in ("mirror=", "from=FOLDER", "https://birds.example"):
        assert cure in str(error.value)
    Fetched(web.birds(site.address), tmp_path)
    assert site.ranges()[-1] == "bytes=700-"
    assert_official(tmp_path)


def test_a_server_that_always_truncates_from_the_start_does_not_go_on_for_ever(
    site: web.Site, tmp_path: Path
) -> None:
    site.tricks += [web.cut_after(700)] * 20
    with pytest.raises(FetchFailed, match="connection ended after 700"):
        Fetched(web.birds(site.address), tmp_path)
    assert len(site.requests) == 4


@pytest.mark.parametrize("size", [True, False], ids=["size pinned", "size unknown"])
def test_a_length_that_is_a_lie_is_found_out(size: bool, site: web.Site, tmp_path: Path) -> None:
    site.tricks += [web.longer_by(1000)]
    data_set = web.birds(site.address, size=size)
    if size:
        with pytest.raises(FetchFailed, match="where the official file has"):
            Fetched(data_set, tmp_path)
    else:  # 416 says that everything is there, and the checksum that it is right
        Fetched(data_set, tmp_path)
        assert_official(tmp_path)


def test_a_file_that_changed_on_the_server_is_fetched_anew(site: web.Site, tmp_path: Path) -> None:
    """Without a pinned checksum only the entity tag can tell."""
    site.files["birds.zip"] = bytes(len(web.BIRDS))
    site.tricks += [web.cut_after(700), *[web.hung_up] * 4]
    data_set = web.birds(site.address, pinned=False)
    with pytest.raises(FetchFailed):
        Fetched(data_set, tmp_path)
    site.files["birds.zip"] = web.BIRDS
    done = Fetched(data_set, tmp_path)
    assert_official(tmp_path)
    assert "begins at the start again" in done.heard.said
    measured = hashlib.sha256(web.BIRDS).hexdigest()
    assert f"sha256:{measured}" in done.heard.said, "what has no checksum is told the measured one"


def test_a_redirect_is_followed_with_its_range(site: web.Site, tmp_path: Path) -> None:
    site.files["elsewhere.zip"] = web.BIRDS
    site.tricks += [web.cut_after(700), web.redirected(f"{site.address}/elsewhere.zip")]
    Fetched(web.birds(site.address), tmp_path)
    assert_official(tmp_path)
    assert site.requests[-1][0] == "/elsewhere.zip"
    assert site.ranges()[-1] == "bytes=700-"


def test_a_page_in_the_place_of_the_archive_is_not_unpacked(site: web.Site, tmp_path: Path) -> None:
    site.files["birds.zip"] = b"<html>please log in</html>"
    with pytest.raises(FetchFailed, match=r"wrong checksum: it has md5:.*expected md5:"):
        Fetched(web.birds(site.address, size=False), tmp_path)
    assert not (tmp_path / "birds").exists()
    assert len(site.requests) == 2, "once anew, then never again"


def test_the_proxy_of_the_environment_is_asked(
    site: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.address)
    Fetched(web.birds("http://birds.invalid"), tmp_path)
    assert site.requests[0][0] == "http://birds.invalid/birds.zip"


def test_an_untrusted_certificate_is_explained_and_never_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"

    def refuse(*_: object, **__: object) -> object:
        raise urllib.error.URLError(error)

    monkeypatch.setattr(
        downloading.urllib.request, "build_opener", lambda *_: SimpleNamespace(open=refuse)
    )
    with pytest.raises(FetchFailed, match=r"self-signed certificate.*SSL_CERT_FILE"):
        Fetched(web.birds("https://birds.invalid"), tmp_path)


# ---------------------------------------------------------------------------------------------------
# Other places


def test_a_mirror_is_tried_first_and_the_official_address_after_it(
    site: web.Site, tmp_path: Path
) -> None:
    with web.serving({"birds.zip": web.BIRDS}) as mirror:
        Fetched(web.birds(site.address), tmp_path / "a", mirrors=(f"{mirror.address}/sub/",))
        assert [path for path, _ in mirror.requests] == ["/sub/birds.zip"]
        assert not site.requests
        mirror.files["birds.zip"] = b"something else"
        done = Fetched(web.birds(site.address), tmp_path / "b", mirrors=(mirror.address,))
    assert_official(tmp_path / "b")
    assert f"not from {mirror.address}" in done.heard.said


def test_archives_of_a_folder_are_verified_and_unpacked_without_network(
    site: web.Site, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with pytest.raises(DataMissing, match=r"birds.zip not there.*Download from http"):
        Fetched(web.birds(site.address), tmp_path, offline=disk)
    (disk / "birds.zip").write_bytes(web.BIRDS[:-1])
    with pytest.raises(BadData, match="not the official archive: it has md5"):
        Fetched(web.birds(site.address), tmp_path, offline=disk)
    (disk / "birds.zip").write_bytes(web.BIRDS)
    Fetched(web.birds(site.address), tmp_path, offline=disk)
    assert_official(tmp_path)
    assert (disk / "birds.zip").read_bytes() == web.BIRDS
    assert not site.requests


def test_archives_are_kept_where_asked(site: web.Site, tmp_path: Path) -> None:
    Fetched(web.birds(site.address), tmp_path, keep=True)
    kept = tmp_path / ".fetch" / "birds" / "archives"
    assert [path.name for path in kept.iterdir()] == ["birds.zip"]
    Fetched(web.birds(site.address), tmp_path / "second", offline=kept)


def test_a_checksum_of_the_user_counts_where_none_is_published(site: web.Site, tmp_path: Path) -> None:
    right = f"sha256:{hashlib.sha256(web.BIRDS).hexdigest()}"
    data_set = web.birds(site.address, pinned=False)
    with pytest.raises(FetchFailed, match="expected one of checksum="):
        Fetched(data_set, tmp_path, checksums=(f"md5:{'0' * 32}",))
    Fetched(data_set, tmp_path, checksums=(right,))
    with pytest.raises(UsageError, match="pinned checksum"):
        Fetched(web.birds(site.address), tmp_path, checksums=(right,))
    with pytest.raises(UsageError, match="sha256: and 64 digits"):
        Fetched(data_set, tmp_path, checksums=("sha256:12",))


def test_an_archive_that_its_host_packs_anew_is_judged_by_its_contents(tmp_path: Path) -> None:
    with web.serving({"birds.zip": web.zipped(web.MEMBERS, web.zipfile.ZIP_DEFLATED)}) as site:
        data_set = web.birds(site.address, size=False)
        (archive,) = data_set.archives
        anew = dataclasses.replace(archive, regenerated=True)
        done = Fetched(dataclasses.replace(data_set, archives=(anew,)), tmp_path)
        assert "packed it anew" in done.heard.said
        assert_official(tmp_path)


def test_contents_that_are_not_official_are_not_put_in_place(site: web.Site, tmp_path: Path) -> None:
    more = dataclasses.replace(web.birds(site.address), counts=(("audio/*.wav", 5),))
    with pytest.raises(BadData, match="finds 4 files, expected 5"):
        Fetched(more, tmp_path)
    assert not (tmp_path / "birds").exists()


# ---------------------------------------------------------------------------------------------------
# Disk, and several archives


def test_a_disk_that_is_too_small_is_said_before_anything_is_asked_for(
    site: web.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: SimpleNamespace(free=30_000))
    with pytest.raises(FetchFailed, match=r"needs .* GB .* are free.*paths.data=FOLDER"):
        Fetched(web.birds(site.address), tmp_path)
    assert not site.requests
    assert not (tmp_path / ".fetch").exists()


def test_what_is_there_already_needs_no_disk_twice(site: web.Site, tmp_path: Path) -> None:
    site.tricks += [web.cut_after(15_000), *[web.hung_up] * 4]
    with pytest.raises(FetchFailed):
        Fetched(web.birds(site.address), tmp_path)
    cost = fetching.price([web.birds(site.address)], tmp_path, Wishes())
    assert cost.needed == 20_000 + len(web.BIRDS) - 15_000


def test_at_most_two_connections_are_open_at_once(tmp_path: Path) -> None:
    parts = {f"part{number}.zip": web.zipped({f"{number}.wav": b"x"}) for number in range(6)}
    with web.serving(parts) as site:
        site.linger = 0.05
        data_set = dataclasses.replace(
            web.birds(site.address),
            archives=tuple(
                archives.Archive(name=name, urls=(f"{site.address}/{name}",)) for name in parts
            ),
            root="",
            holds=(),
            counts=(("*.wav", 6),),
            unpacked=10**6,
        )
        Fetched(data_set, tmp_path)
        assert len(site.requests) == 6
        assert site.most_open == CONNECTIONS == 2


# ---------------------------------------------------------------------------------------------------
# The table


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_the_facts_of_a_data_set_are_well_formed(name: str) -> None:
    data_set = DATA_SETS[name]
    assert data_set.licence
    assert data_set.page.startswith("https://")
    assert data_set.holds or data_set.counts
    assert not Path(data_set.folder).is_absolute()
    assert 10**8 < data_set.download < 10**11
    if data_set.exact:
        assert data_set.download == sum(archive.size or 0 for archive in data_set.archives)
    for archive in data_set.archives:
        for digest in archive.digests:
            kind, _, digits = digest.partition(":")
            assert len(digits) == {"md5": 32, "sha256": 64}[kind]
            assert set(digits) <= set("0123456789abcdef")
        for url in archive.urls:
            secure = url.startswith("https://")
            assert secure or (archive.digests and url.startswith("http://")), (
                "only a checksum replaces it"
            )
    assert archives.of_folder(data_set.folder) == name


def test_names_of_data_sets_are_answered_with_their_neighbours() -> None:
    sets = archives.named(["speech_commands", "esc50", "esc10"])
    assert [data_set.name for data_set in sets] == [
        *("speech_commands_v0.02", "speech_commands_test_set_v0.02", "esc50"),
    ]
    with pytest.raises(UsageError, match="'fsd50k'"):
        archives.named(["fsd50"])
