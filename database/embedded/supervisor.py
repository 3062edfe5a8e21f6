"""The detached process that starts the server, restarts it when it dies, and stops it after its last user.

Run as `python -m database.embedded.supervisor DATA [-c name=value …]` by `database.embedded.sharing`. One
lives per data folder: it holds `supervisor.lock`. It never connects to the server, so it can't hold it up.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from database.embedded.account import Account, server_account
from database.embedded.ballast import has_ballast, make_ballast, release_ballast
from database.embedded.channel import Channel, words_to_log
from database.embedded.creation import create_cluster
from database.embedded.folder import DataFolder, check_data_folder
from database.embedded.locks import FileLock
from database.embedded.server import Server, find_running, start_server
from database.refusals import DatabaseRefusal, DataFolderNotWritable, DiskFull

POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
BALLAST_EVERY_SECONDS = 2.0
RETRY_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a data folder's server is started.

    Attributes:
        settings: PostgreSQL settings beside and over Meguri's own; for tests and benchmarks only.
        grace_seconds: how long the server stays after its last user.
        is_throwaway: the data is worth nothing: never synced, and deleted after the last user.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = GRACE_SECONDS
    is_throwaway: bool = False


@dataclass(slots=True)
class Wishes:
    """What signals have asked for: INT and TERM to stop now, USR1 to stop as soon as nobody uses the server."""

    stop_now: bool = False
    stop_when_unused: bool = False

    def listen(self) -> None:
        """Takes the process's signals."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stop_now", True))
        signal.signal(signal.SIGINT, lambda *_: setattr(self, "stop_now", True))
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "stop_when_unused", True))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


class Supervisor:
    """Keeps one data folder's server running while somebody wants it."""

    def __init__(self, folder: DataFolder, options: StartOptions, channel: Channel) -> None:
        self.folder = folder
        self.options = options
        self.channel = channel
        self.wishes = Wishes()
        self.ballast_checked_at = 0.0

    def run(self, users: FileLock) -> None:
        """Brings the server up, then watches it until nobody wants it. On return no server runs.

        Raises:
            DatabaseRefusal: the first start failed.
        """
        server = self.bring_up()
        self.channel.close()
        unused_since: float | None = None
        while not self.wishes.stop_now and self.folder.root.exists():
            self.keep_ballast()
            if not server.is_running():
                revived = self.revive(users)
                if revived is None:
                    return
                server = revived
            unused_since = self.unused_since(users, unused_since)
            if unused_since is not None and time.monotonic() - unused_since >= self.grace_seconds():
                if users.try_exclusive():
                    # Held while stopping: a newcomer waits for the end instead of joining a dying server.
                    break
                unused_since = None
            time.sleep(POLL_SECONDS)
        server.stop(is_abrupt=self.options.is_throwaway or not self.folder.root.exists())
        if self.folder.socket_folder().parent != self.folder.root:
            # A short folder of our own under /tmp; the next start makes it again.
            with suppress(OSError):
                self.folder.socket_folder().rmdir()
        self.channel.say("stopped the server")

    def grace_seconds(self) -> float:
        """How long the server stays unused."""
        return 0.0 if self.wishes.stop_when_unused else self.options.grace_seconds

    def unused_since(self, users: FileLock, before: float | None) -> float | None:
        """Since when nobody uses the server (monotonic seconds), or None while somebody does or wants it kept."""
        if self.folder.keep.exists() or not users.try_exclusive():
            return None
        users.release()
        return time.monotonic() if before is None else before

    def bring_up(self) -> Server:
        """Adopts the living server or starts one, making the data folder the first time.

        Raises:
            DatabaseRefusal: it can't be; the data is as it was.
        """
        account = server_account(self.folder.postgres)
        running = find_running(self.folder)
        if running is not None:
            self.channel.say(f"adopted the running server {running.pid}")
            return running
        if not _has_content(self.folder.postgres):
            self.channel.say("making a new database (once)")
            create_cluster(self.folder, account, is_synced=not self.options.is_throwaway)
        check_data_folder(self.folder, account)
        return self.start(account)

    def start(self, account: Account) -> Server:
        """Starts the server; when the disk is full, once more with the ballast given up."""
        settings = self.options.settings
        try:
            return start_server(self.folder, account, settings=settings, report=self.channel.say)
        except DiskFull:
            if not release_ballast(self.folder):
                raise
            self.channel.say(
                "THE DISK IS FULL. The reserve file was given up to start the database. Free space on the disk "
                "now: the next time there is no reserve."
            )
            return start_server(self.folder, account, settings=settings, report=self.channel.say)

    def revive(self, users: FileLock) -> Server | None:
        """Starts the server again after it died under its users; None when nobody wants it any more."""
        pause_seconds = 0.0
        while not self.wishes.stop_now and self.folder.postgres.exists():
            if not self.folder.keep.exists() and users.try_exclusive():
                return None
            self.channel.say("the server died; starting it again")
            try:
                return self.bring_up()
            except DatabaseRefusal as refusal:
                # A full disk is emptied, a rights mistake put right: users that stay are served again then.
                self.channel.refuse(refusal)
            pause_seconds = min(pause_seconds + 1.0, RETRY_SECONDS_MAX)
            time.sleep(pause_seconds)
        return None

    def keep_ballast(self) -> None:
        """Makes the reserve again when it is gone and there is room."""
        if self.options.is_throwaway or time.monotonic() - self.ballast_checked_at < BALLAST_EVERY_SECONDS:
            return
        self.ballast_checked_at = time.monotonic()
        if not has_ballast(self.folder) and make_ballast(self.folder):
            self.channel.say("made the reserve file against a full disk")


def _has_content(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def supervise(folder: DataFolder, options: StartOptions) -> None:
    """Does the supervisor's work in this process, or nothing when the folder has a supervisor."""
    channel = Channel()
    supervisor = Supervisor(folder, options, channel)
    # Before the process id can be read by anybody: an unheard signal would end this process.
    supervisor.wishes.listen()
    with FileLock(folder.users_lock) as users, FileLock(folder.supervisor_lock) as lock:
        if not lock.try_exclusive():
            channel.close()
            return
        os.truncate(lock.descriptor, 0)
        os.pwrite(lock.descriptor, b"%d\n" % os.getpid(), 0)
        words_to_log(folder.log / "supervisor.log")
        try:
            supervisor.run(users)
        except DatabaseRefusal as refusal:
            channel.refuse(refusal)
        except PermissionError as error:
            channel.refuse(not_writable(folder, error))
        if options.is_throwaway and folder.throwaway_mark.exists():
            shutil.rmtree(folder.root, ignore_errors=True)


def not_writable(folder: DataFolder, error: OSError) -> DataFolderNotWritable:
    """The refusal for a folder that the system does not let this account use."""
    return DataFolderNotWritable(
        f"{folder.root} can't be used: {error.strerror} ({error.filename}).",
        next_step="Give the folder to the account that runs Meguri, or name another with --data-dir.",
    )


def main(arguments: Sequence[str]) -> None:
    """Leaves the caller's session and supervises; returns to the caller at once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("-c", action="append", default=[], dest="settings")
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    parser.add_argument("--throwaway", action="store_true")
    words = parser.parse_args(arguments)
    settings = {name: value for name, _, value in (word.partition("=") for word in words.settings)}
    if os.fork():
        # The caller waits for this process only; the supervisor belongs to nobody.
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    options = StartOptions(settings=settings, grace_seconds=words.grace_seconds, is_throwaway=words.throwaway)
    supervise(DataFolder(words.data), options)


if __name__ == "__main__":
    main(sys.argv[1:])
