"""Getting published files: resumed where they broke off, checked, never half there. The standard library alone.

A download goes to a folder beside the target, ``.NAME.part``, which remembers address and version of what it holds;
the finished, checked file is renamed into place. Hashes of files that nobody has published a hash of are recorded on
first use, in ``.fetched.json``, and held against later downloads. Proxies are taken from the environment.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from ssl import SSLError
from typing import Any, Protocol

import yaml

from auscult.errors import CheckpointError, OutputError, nearest
from auscult.files import lock, write_bytes
from auscult.version import __version__

ATTEMPTS = 6
WAIT_S = 1.0
"""Before the second attempt; doubled for each further one."""
TIMEOUT_S = 30.0
RECORD = ".fetched.json"
_BLOCK = 2**18
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that may be better next time."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and how many there will be (where the server says)."""


@dataclass(frozen=True)
class Address:
    """A published file. ``sha256`` maps the hashes it may have to what each is; empty where none is known."""

    name: str
    what: str
    url: str
    page: str
    file: str
    sha256: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetched:
    """A file that is there. ``check`` says what its hash was held against; ``new`` whether it was downloaded now."""

    path: Path
    bytes: int
    sha256: str
    check: str
    new: bool


class Broken(Exception):
    """This attempt failed; another may not."""


class Answer(Protocol):
    """What urllib gives."""

    status: int
    headers: Any

    def read(self, size: int, /) -> bytes:
        """At most so many bytes of the body."""
        ...


def addresses() -> dict[str, Address]:
    """All known files by name."""
    text = resources.files("auscult.hub").joinpath("addresses.yaml").read_text(encoding="utf-8")
    return {name: Address(name, **facts) for name, facts in yaml.safe_load(text).items()}


def address_named(name: str) -> Address:
    """A known file.

    Raises:
        CheckpointError: unknown name.
    """
    known = addresses()
    if name not in known:
        raise CheckpointError(f"no known file '{name}'{nearest(name, known)}; known are {', '.join(known)}")
    return known[name]


def _unseen(here: int, total: int | None) -> None:
    """Progress that nobody follows."""


def fetch(address: Address, folder: Path, progress: Progress = _unseen, wait_s: float = WAIT_S) -> Fetched:
    """Get a file, unless it is there already.

    Raises:
        CheckpointError: it cannot be had, or is not what it should be.
        OutputError: it cannot be written, there is no room for it, or another process is getting it.
    """
    target = folder / address.file
    if target.exists():
        return _present(address, target)
    part = folder / f".{address.file}.part"
    try:
        held = lock(part)
    except BlockingIOError as error:
        raise OutputError(f"{target}: another process is getting it; wait for it") from error
    except OSError as error:
        raise OutputError(f"{part}: cannot be written ({error.strerror or error}); choose another --to") from error
    with held:
        download = Download(address, part, progress)
        download.whole(wait_s)
        sha256 = hash_of(download.data)
        try:
            check = _checked(address, folder, sha256, download.data.stat().st_size)
        except CheckpointError:
            shutil.rmtree(part)
            raise
        _into_place(download.data, target)
        shutil.rmtree(part)
    return Fetched(target, target.stat().st_size, sha256, check, new=True)


@dataclass
class Download:
    """A download under way, in a folder of its own."""

    address: Address
    folder: Path
    progress: Progress

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def _version_file(self) -> Path:
        return self.folder / "version.json"

    def whole(self, wait_s: float) -> None:
        """Attempt until everything is there.

        Raises:
            CheckpointError: refused, or still incomplete after all attempts.
        """
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(wait_s * 2 ** (attempt - 1))
            try:
                self._attempt()
                return
            except Broken as error:
                reason = str(error)
        have = self.data.stat().st_size if self.data.is_file() else 0
        raise CheckpointError(
            f"{self.address.url}: {reason}, after {ATTEMPTS} attempts; {have} bytes are kept: run the same command "
            f"again, or get it by hand from {self.address.page} and save it as {self.folder.parent / self.address.file}"
        )

    def _attempt(self) -> None:
        """Ask for what is missing and append it.

        Raises:
            Broken: it may work the next time. CheckpointError: it will not.
        """
        version = self._version()
        have = self.data.stat().st_size if version and self.data.is_file() else 0
        if have and have == version.get("total"):
            return
        try:
            with urllib.request.build_opener().open(self._request(have, version), timeout=TIMEOUT_S) as answer:
                self._take(answer, have, version)
        except urllib.error.HTTPError as error:
            self._refused(error, have)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, SSLError) as error:
            reason = getattr(error, "reason", None) or error
            raise Broken(f"the connection failed ({reason})") from error

    def _request(self, have: int, version: Mapping[str, Any]) -> urllib.request.Request:
        headers = {"User-Agent": f"auscult/{__version__}", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if version.get("mark"):
                headers["If-Range"] = version["mark"]
        return urllib.request.Request(self.address.url, headers=headers)

    def _refused(self, error: urllib.error.HTTPError, have: int) -> None:
        by_hand = f"get it by hand from {self.address.page} and save it as {self.folder.parent / self.address.file}"
        if error.code == 416 and have:  # what is here is not a beginning of what is there
            self.data.unlink()
            raise Broken("what was kept does not fit the file any more") from error
        if error.code in _PASSING:
            raise Broken(f"the server answers {error.code} ({error.reason})") from error
        moved = "it is not there any more" if error.code in (404, 410) else "the server refuses"
        raise CheckpointError(f"{self.address.url}: {moved} (answer {error.code} {error.reason}); {by_hand}") from error

    def _take(self, answer: Answer, have: int, version: Mapping[str, Any]) -> None:
        start, total = _range_of(answer)
        if have and (start != have or (version.get("total") and total != version["total"])):
            if start != 0:
                self.data.unlink()
                raise Broken("the server answers with another part than was asked for")
            have = 0  # no ranges here, or the file is a new one: this answer is the whole of it
        self._remember({"url": self.address.url, "mark": _mark(answer), "total": total})
        self._check_room(total, have)
        with open(self.data, "ab" if have else "wb") as file:
            while block := answer.read(_BLOCK):
                if not have:
                    self._check_kind(answer, block)
                file.write(block)
                have += len(block)
                self.progress(have, total)
        if total is not None and have != total:
            raise Broken(f"the connection ended after {have} of {total} bytes")

    def _check_kind(self, answer: Answer, block: bytes) -> None:
        """A page in place of the file: a consent form, a login, a note that a quota is used up.

        Raises:
            CheckpointError: it is one.
        """
        kind = str(answer.headers.get("Content-Type", ""))
        if kind.startswith("text/html") or block.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
            raise CheckpointError(
                f"{self.address.url}: the server answers with a web page instead of the file (it wants a confirmation, "
                f"or its quota is used up); open {self.address.page} in a browser, download the file there and save it "
                f"as {self.folder.parent / self.address.file}"
            )

    def _check_room(self, total: int | None, have: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if total is not None and total - have > free:
            raise OutputError(
                f"{self.folder.parent}: {(total - have) / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free; "
                "free some space, or choose another --to"
            )

    def _version(self) -> dict[str, Any]:
        """What the part that is kept belongs to; nothing where it belongs to another address."""
        try:
            version = json.loads(self._version_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return dict(version) if isinstance(version, dict) and version.get("url") == self.address.url else {}

    def _remember(self, version: Mapping[str, Any]) -> None:
        write_bytes(self._version_file, json.dumps(version).encode())


def _range_of(answer: Answer) -> tuple[int, int | None]:
    """Where an answer starts in the file, and how long the file is."""
    if answer.status == 206:
        unit, _, rest = str(answer.headers.get("Content-Range", "")).partition(" ")
        part, _, total = rest.partition("/")
        start = part.partition("-")[0]
        if unit == "bytes" and start.isdigit():
            return int(start), int(total) if total.isdigit() else None
        return -1, None
    length = str(answer.headers.get("Content-Length", ""))
    return 0, int(length) if length.isdigit() else None


def _mark(answer: Answer) -> str | None:
    """What tells versions of a file apart: a strong entity tag, or the time of its last change."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def hash_of(path: Path) -> str:
    """SHA-256 of a file of any size."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _present(address: Address, target: Path) -> Fetched:
    """A file that is there already.

    Raises:
        CheckpointError: it is not what it should be.
    """
    sha256, size = hash_of(target), target.stat().st_size
    return Fetched(target, size, sha256, _checked(address, target.parent, sha256, size), new=False)


def _checked(address: Address, folder: Path, sha256: str, size: int) -> str:
    """Hold a hash against the published ones, else against what came the first time; record it then.

    Raises:
        CheckpointError: it is another.
    """
    if address.sha256:
        if sha256 not in address.sha256:
            wanted = " or ".join(address.sha256)
            raise CheckpointError(
                f"{folder / address.file}: its sha256 is {sha256}, published is {wanted}; it is damaged or was "
                "changed: it is not used. Remove it if it is there, and get it again"
            )
        return f"sha256 is the published one ({address.sha256[sha256]})"
    records = _records(folder)
    known = records.get(address.file)
    if known is None:
        facts = {"url": address.url, "bytes": size, "sha256": sha256}
        text = json.dumps({**records, address.file: facts}, indent=1, sort_keys=True)
        write_bytes(folder / RECORD, text.encode())
        return "sha256 recorded; none is published"
    if known["sha256"] != sha256:
        raise CheckpointError(
            f"{folder / address.file}: its sha256 is {sha256}, the first time it was {known['sha256']}; the file was "
            f"changed or replaced. If you trust it, remove its entry from {folder / RECORD}"
        )
    return "sha256 is that of the first time"


def _records(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged ({error}); remove it, or restore it from a copy") from error


def _into_place(data: Path, target: Path) -> None:
    with open(data, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(data, target)
