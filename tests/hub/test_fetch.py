"""Downloads: resumed, checked, refused; against a server of our own, without network."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from auscult.cli import main
from auscult.errors import CheckpointError, OutputError
from auscult.files import lock
from auscult.hub import fetch as module
from auscult.hub.fetch import ATTEMPTS, RECORD, Address, addresses, fetch
from tests.conftest import DATA

CONTENT = bytes(range(256)) * 4_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server does: ``drops`` are bytes after which an answer breaks off, one for each of the first answers."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    drops: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    kind: str = "application/octet-stream"
    tag: str = '"one"'
    shift: int = 0
    length: bool = True
    asked: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range")
        site.asked.append(wanted)
        if site.answers and (code := site.answers.pop(0)) != 200:
            self.send_error(code)
            return
        start = 0
        if wanted and site.ranges and self.headers.get("If-Range", site.tag) == site.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(site.content):
                self.send_error(416)
                return
        self._send(start)

    def _send(self, start: int) -> None:
        site = self.site
        self.send_response(206 if start else 200)
        if start:
            first, total = start + site.shift, len(site.content)
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        if site.length:
            self.send_header("Content-Length", str(len(site.content) - start))
        self.send_header("Content-Type", site.kind)
        self.send_header("ETag", site.tag)
        self.end_headers()
        body = site.content[start:]
        if site.drops:
            body = body[: site.drops.pop(0)]
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = Site()
    handler = type("Own", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}/model.ckpt"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def address(site: Site, known: bool = True) -> Address:
    hashes = {SHA256: "as published"} if known else {}
    return Address("model", "a model", site.url, "https://example.org/page", "model.ckpt", hashes)


def get(site: Site, folder: Path, known: bool = True) -> module.Fetched:
    return fetch(address(site, known), folder, wait_s=0.001)


class TestGetting:
    def test_whole_checked_and_kept(self, site: Site, tmp_path: Path) -> None:
        seen: list[tuple[int, int | None]] = []
        got = fetch(address(site), tmp_path, lambda here, total: seen.append((here, total)))
        assert (got.new, got.sha256, got.bytes) == (True, SHA256, len(CONTENT))
        assert got.check == "sha256 is the published one (as published)"
        assert got.path.read_bytes() == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt"]
        again = get(site, tmp_path)
        assert (again.new, len(site.asked)) == (False, 1)

    def test_dropped_connections_are_resumed(self, site: Site, tmp_path: Path) -> None:
        site.drops = [100_000, 300_000, 1]
        assert get(site, tmp_path).path.read_bytes() == CONTENT
        assert site.asked == [None, "bytes=100000-", "bytes=400000-", "bytes=400001-"]

    def test_another_process_goes_on_where_one_gave_up(self, site: Site, tmp_path: Path) -> None:
        site.drops = [1_000] * ATTEMPTS
        with pytest.raises(CheckpointError, match=r"6 attempts; 6000 bytes are kept: run the same command again"):
            get(site, tmp_path)
        assert get(site, tmp_path).path.read_bytes() == CONTENT
        assert site.asked[-1] == "bytes=6000-"

    def test_a_server_without_ranges_is_asked_anew(self, site: Site, tmp_path: Path) -> None:
        site.ranges, site.drops = False, [500_000]
        assert get(site, tmp_path).path.read_bytes() == CONTENT
        assert site.asked == [None, "bytes=500000-"]

    def test_a_file_that_changed_meanwhile_is_taken_anew(self, site: Site, tmp_path: Path) -> None:
        site.drops = [1_000] * ATTEMPTS
        with pytest.raises(CheckpointError):
            get(site, tmp_path, known=False)
        site.content, site.tag = CONTENT[::-1], '"two"'
        assert get(site, tmp_path, known=False).path.read_bytes() == CONTENT[::-1]

    def test_a_shorter_file_than_what_was_kept(self, site: Site, tmp_path: Path) -> None:
        site.drops, site.tag = [9_000] + [0] * (ATTEMPTS - 1), 'W/"weak"'
        with pytest.raises(CheckpointError):
            get(site, tmp_path, known=False)
        site.content = CONTENT[:5_000]
        assert get(site, tmp_path, known=False).path.read_bytes() == CONTENT[:5_000]

    def test_another_part_than_was_asked_for_is_not_appended(self, site: Site, tmp_path: Path) -> None:
        site.drops, site.shift = [1_000, 2_000], 7
        assert get(site, tmp_path).path.read_bytes() == CONTENT

    def test_passing_refusals_are_tried_again(self, site: Site, tmp_path: Path) -> None:
        site.answers = [503, 429, 200]
        assert get(site, tmp_path).new
        assert len(site.asked) == 3

    def test_without_a_length(self, site: Site, tmp_path: Path) -> None:
        site.length = False
        assert get(site, tmp_path).path.read_bytes() == CONTENT

    def test_a_finished_part_needs_no_request(self, site: Site, tmp_path: Path) -> None:
        part = tmp_path / ".model.ckpt.part"
        part.mkdir()
        (part / "data").write_bytes(CONTENT)
        (part / "version.json").write_text(json.dumps({"url": site.url, "mark": None, "total": len(CONTENT)}))
        assert get(site, tmp_path).new
        assert site.asked == []

    def test_a_part_of_another_address_is_not_used(self, site: Site, tmp_path: Path) -> None:
        part = tmp_path / ".model.ckpt.part"
        part.mkdir()
        (part / "data").write_bytes(b"x" * 50)
        (part / "version.json").write_text(json.dumps({"url": "http://elsewhere", "mark": None, "total": 100}))
        assert get(site, tmp_path).path.read_bytes() == CONTENT
        assert site.asked == [None]


class TestRefusing:
    def test_a_wrong_hash_leaves_nothing(self, site: Site, tmp_path: Path) -> None:
        site.content = CONTENT[::-1]
        with pytest.raises(CheckpointError, match=f"published is {SHA256}"):
            get(site, tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_wrong_file_that_is_there_already(self, site: Site, tmp_path: Path) -> None:
        (tmp_path / "model.ckpt").write_bytes(b"other")
        with pytest.raises(CheckpointError, match="published is"):
            get(site, tmp_path)
        assert (tmp_path / "model.ckpt").read_bytes() == b"other"

    def test_first_use_is_recorded_and_held_against_later(self, site: Site, tmp_path: Path) -> None:
        first = get(site, tmp_path, known=False)
        assert first.check == "sha256 recorded; none is published"
        assert json.loads((tmp_path / RECORD).read_text())["model.ckpt"]["sha256"] == SHA256
        assert get(site, tmp_path, known=False).check == "sha256 is that of the first time"
        first.path.unlink()
        site.content = CONTENT[::-1]
        with pytest.raises(CheckpointError, match="the first time it was"):
            get(site, tmp_path, known=False)
        (tmp_path / RECORD).write_text("{")
        with pytest.raises(CheckpointError, match="damaged"):
            get(site, tmp_path, known=False)

    @pytest.mark.parametrize(
        ("kind", "content"),
        [
            ("text/html; charset=utf-8", b"<p>Google Drive cannot scan this file for viruses</p>"),
            ("application/octet-stream", b"\n<!DOCTYPE html><title>Sign in</title>"),
        ],
    )
    def test_a_web_page_is_not_a_file(self, site: Site, tmp_path: Path, kind: str, content: bytes) -> None:
        site.kind, site.content = kind, content
        with pytest.raises(CheckpointError, match=r"a web page .* open https://example.org/page in a browser"):
            get(site, tmp_path, known=False)
        assert not (tmp_path / "model.ckpt").exists()
        site.kind, site.content = "application/octet-stream", CONTENT
        assert get(site, tmp_path).new

    @pytest.mark.parametrize(("code", "said"), [(404, "it is not there any more"), (403, "the server refuses")])
    def test_refusals_that_stay(self, site: Site, tmp_path: Path, code: int, said: str) -> None:
        site.answers = [code]
        with pytest.raises(CheckpointError, match=rf"{said} \(answer {code} .*get it by hand from https"):
            get(site, tmp_path)
        assert len(site.asked) == 1

    def test_no_server(self, tmp_path: Path) -> None:
        gone = Address("m", "", "http://127.0.0.1:9/none", "https://example.org/page", "m.ckpt")
        with pytest.raises(CheckpointError, match="the connection failed"):
            fetch(gone, tmp_path, wait_s=0.001)

    def test_no_room(self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        full = module.shutil._ntuple_diskusage(9, 9, 1_000)
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: full)
        with pytest.raises(OutputError, match="1 MB are needed, 0 MB are free"):
            get(site, tmp_path)

    def test_one_process_at_a_time(self, site: Site, tmp_path: Path) -> None:
        with lock(tmp_path / ".model.ckpt.part"), pytest.raises(OutputError, match="another process is getting it"):
            get(site, tmp_path)

    def test_waits_double(self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        waits: list[float] = []
        monkeypatch.setattr(module.time, "sleep", waits.append)
        site.answers = [500] * ATTEMPTS
        with pytest.raises(CheckpointError, match="500"):
            fetch(address(site), tmp_path)
        assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]

    def test_proxies_of_the_environment(self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", site.url.rpartition("/")[0])
        monkeypatch.delenv("no_proxy", raising=False)
        far = Address("m", "", "http://far.example.invalid/model", "", "m.ckpt", {SHA256: "as published"})
        assert fetch(far, tmp_path).new


class TestCommandLine:
    def run(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr("sys.argv", ["auscult", *map(str, arguments)])
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    def test_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(capsys, "fetch", "--json")
        listed = {row["name"]: row for row in json.loads(out)}
        assert code == 0
        assert listed["gtcrn-vctk"]["sha256"]
        code, out, _ = self.run(capsys, "fetch")
        assert "sgmse-vbdmd" in out

    def test_get(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(module, "addresses", lambda: {"model": address(site)})
        code, out, _ = self.run(capsys, "fetch", "model", "--to", tmp_path)
        assert (code, "model.ckpt: downloaded, 1.0 MB" in out.replace("\n", "")) == (0, True)
        code, out, _ = self.run(capsys, "fetch", "model", "--to", tmp_path, "--json")
        assert (code, json.loads(out)["new"]) == (0, False)

    def test_unknown(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, _, err = self.run(capsys, "fetch", "sgmse-vbdm")
        assert (code, "no known file 'sgmse-vbdm' (did you mean 'sgmse-vbdmd'?)" in err) == (2, True)


class TestAddresses:
    @pytest.mark.parametrize("check", ["url", "page", "file", "what"])
    def test_are_complete(self, check: str) -> None:
        for name, known in addresses().items():
            assert getattr(known, check), name
            assert known.url.startswith("https://")
            assert all(len(sha256) == 64 for sha256 in known.sha256)

    def test_files_have_names_of_their_own(self) -> None:
        files = [known.file for known in addresses().values()]
        assert len(set(files)) == len(files)

    def test_published_hashes(self) -> None:
        checkpoints = DATA.parent / "checkpoints"
        names = {"gtcrn_vctk.tar": "gtcrn-vctk", "gtcrn_dns3_epoch87.tar": "gtcrn-dns3"}
        if not (checkpoints / "gtcrn_vctk.tar").is_file():
            pytest.skip("the published checkpoints are not at hand")
        for file, name in names.items():
            assert module.hash_of(checkpoints / file) in addresses()[name].sha256
