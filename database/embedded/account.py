"""As whom the server runs, because PostgreSQL refuses to run as root.

Nothing outside the data folder is changed for it: no user is added, no parent folder opened.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")


@dataclass(frozen=True, slots=True)
class Account:
    """As whom the server's programs run.

    Attributes:
        owner_uid: who owns the data folder, as seen from outside.
        wrapper: what is put before a server program's command.
        switch_to: (uid, gid) to change to before the program starts, or None.
    """

    owner_uid: int
    wrapper: tuple[str, ...] = ()
    switch_to: tuple[int, int] | None = None

    def give(self, path: Path) -> None:
        """Makes the account the owner of one file or folder that this process made."""
        if self.switch_to is not None:
            os.chown(path, *self.switch_to)

    def give_tree(self, folder: Path) -> None:
        """Makes the account the owner of a folder and all in it."""
        if self.switch_to is not None:
            for entry in (folder, *folder.rglob("*")):
                os.chown(entry, *self.switch_to, follow_symlinks=False)

    def start(
        self, command: Sequence[str], *, output: int, environment: Mapping[str, str], inherited: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        """Starts a program as this account, its words going to the file descriptor `output`."""
        uid, gid = self.switch_to or (None, None)
        return subprocess.Popen(  # noqa: S603 - programs of the wheel, arguments without a shell
            [*self.wrapper, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            pass_fds=inherited,
            encoding="utf-8",
            errors="replace",
        )


def server_account(postgres: Path) -> Account:
    """The account for a PostgreSQL data folder that may not exist yet.

    An ordinary user runs the server himself. Root runs it in a user namespace where he is called nobody; where
    such namespaces are closed, or the folder was once given to nobody, as the real nobody.
    """
    if os.geteuid() != 0:
        return Account(owner_uid=os.geteuid())
    nobody = _nobody()
    is_nobodys = postgres.exists() and postgres.stat().st_uid == nobody[0]
    if is_nobodys or not namespaces_are_open():
        return Account(owner_uid=nobody[0], switch_to=nobody)
    return Account(owner_uid=0, wrapper=NAMESPACE)


@cache
def namespaces_are_open() -> bool:
    """Whether this machine lets root make a user namespace with another name for himself."""
    if shutil.which(NAMESPACE[0]) is None:
        return False
    attempt = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)  # noqa: S603 - fixed words
    return attempt.returncode == 0


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return entry.pw_uid, entry.pw_gid
