"""Which file system a path is on: SQLite's locks and shared memory hold only where all processes share one kernel."""

from __future__ import annotations

import re
from typing import Final

#: Kinds of file systems whose other end is another machine, or another kernel (as `mount` names them).
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs"),
        *("afs", "coda", "ceph", "glusterfs", "lustre", "beegfs", "orangefs", "gpfs", "ocfs2", "gfs", "gfs2"),
        *("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.ceph", "fuse.davfs"),
        *("fuse.grpcfuse", "fuse.osxfs", "fuse.vmhgfs-fuse", "fuse.juicefs", "fuse.curlftpfs", "davfs"),
    }
)

_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def file_system_of(mountinfo: str, path: str) -> str | None:
    """Return the kind of file system that a path is on, by the text of `/proc/self/mountinfo` (proc(5)).

    `path` is absolute and without links. None where no mount holds it. Of mounts on one point the last one is seen.
    """
    longest, found = -1, None
    for line in mountinfo.splitlines():
        # Any number of optional fields stands before the dash.
        before, dash, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if _holds(point, path) and len(point) >= longest:
            longest, found = len(point), kinds[0]
    return found


def _holds(point: str, path: str) -> bool:
    stem = point.rstrip("/")
    return path == point or path.startswith(f"{stem}/")
