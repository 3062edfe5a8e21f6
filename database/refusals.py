"""Why the database could not be reached, started, kept or restored; each with a stable code and the next step.

A refusal here never means that data was changed or removed: whoever raises one has left the data as it was.
"""

from collections.abc import Iterator
from typing import ClassVar, final


class DatabaseRefusal(Exception):  # noqa: N818 - a refusal is not an error
    """Something about the database was refused.

    Attributes:
        code: stable, snake_case; the class's docstring is its meaning.
        detail: what was found, with the paths and versions of this case.
        next_step: what the operator does now.
    """

    code: ClassVar[str] = "database_refused"

    def __init__(self, detail: str, *, next_step: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step


class DataFolderInUse(DatabaseRefusal):
    """A PostgreSQL that Meguri did not start is running on the data folder."""

    code = "data_folder_in_use"


class DataFolderOfAnotherOwner(DatabaseRefusal):
    """The data folder belongs to another account of this machine."""

    code = "data_folder_of_another_owner"


class DataFolderNotWritable(DatabaseRefusal):
    """The data folder can't be made or written by this account."""

    code = "data_folder_not_writable"


class DataFolderDamaged(DatabaseRefusal):
    """The data folder is there but is not a whole PostgreSQL data folder."""

    code = "data_folder_damaged"


class DataFolderOfAnotherVersion(DatabaseRefusal):
    """The data folder was written by another major version of PostgreSQL."""

    code = "data_folder_of_another_version"


class DataFolderNotEmpty(DatabaseRefusal):
    """The folder for the restored data already holds something."""

    code = "data_folder_not_empty"


class DiskFull(DatabaseRefusal):
    """The disk is full, and the reserve kept for this case is used up or not enough."""

    code = "disk_full"


class ServerDidNotStart(DatabaseRefusal):
    """The embedded PostgreSQL did not start, for a reason not known here; its own words are in the detail."""

    code = "server_did_not_start"


class DatabaseNotRunning(DatabaseRefusal):
    """The embedded server is not running, and this command does not start it."""

    code = "database_not_running"


class DatabaseUnreachable(DatabaseRefusal):
    """The database named in DATABASE_URL or DATABASE_OWNER_URL can't be connected to."""

    code = "database_unreachable"


class DatabaseVersionUnsupported(DatabaseRefusal):
    """The database named in DATABASE_URL is of a PostgreSQL version that Meguri is not tested with."""

    code = "database_version_unsupported"


class NotTheEmbeddedServer(DatabaseRefusal):
    """The settings name a PostgreSQL server of the operator's own; this command handles the embedded one."""

    code = "not_the_embedded_server"


class DatabaseRolesUnfit(DatabaseRefusal):
    """The roles of DATABASE_URL and DATABASE_OWNER_URL are not the two that Meguri needs."""

    code = "database_roles_unfit"


class DatabaseNotMade(DatabaseRefusal):
    """There is no database in the data folder yet, so there is nothing to read, prove or back up."""

    code = "database_not_made"


class BackupOfExternalServer(DatabaseRefusal):
    """Only the embedded server is backed up here; a server of your own has a backup of its own."""

    code = "backup_of_external_server"


class BackupFileExists(DatabaseRefusal):
    """The backup's file name is taken; a backup is never written over."""

    code = "backup_file_exists"


class BackupFileInvalid(DatabaseRefusal):
    """The file is not a whole backup made by Meguri."""

    code = "backup_file_invalid"


class BackupFailed(DatabaseRefusal):
    """The backup could not be made, or did not prove whole when it was read again."""

    code = "backup_failed"


class RestoredDataRefused(DatabaseRefusal):
    """The restored books did not pass their check, so they were not put in place."""

    code = "restored_data_refused"


@final
class _Unknown(DatabaseRefusal):
    """A refusal by a code that this version does not know."""


def list_database_refusals() -> Iterator[type[DatabaseRefusal]]:
    """Every refusal of this room, in the order of definition."""
    yield from (refusal for refusal in DatabaseRefusal.__subclasses__() if refusal is not _Unknown)


def refusal_from(code: str, detail: str, next_step: str) -> DatabaseRefusal:
    """The refusal with this code: the way back from another process's words."""
    known = {refusal.code: refusal for refusal in list_database_refusals()}
    return known.get(code, _Unknown)(detail, next_step=next_step)
