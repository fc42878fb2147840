"""Which file system a path is on, by the text that Linux gives."""

from __future__ import annotations

import pytest

from engine.store.mounts import NETWORK_FILE_SYSTEMS, file_system_of

MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /mnt/share rw,relatime shared:7 master:2 - nfs4 server:/export rw,vers=4.2
31 30 254:1 / /mnt/share/local rw - xfs /dev/vdb rw
32 22 0:41 / /mnt/my\040files rw - cifs //server/x rw
33 22 0:42 /sub /mnt/odd\134name rw - 9p host rw
34 22 0:43 / /over rw - tmpfs tmpfs rw
35 34 0:44 / /over rw - fuse.sshfs me@server:/ rw
a line that no kernel writes
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/me", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/er", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/local/x", "xfs"),
        ("/mnt/my files/x", "cifs"),
        ("/mnt/odd\\name/x", "9p"),
        ("/over/x", "fuse.sshfs"),
        ("/proc/1", "proc"),
    ],
)
def test_the_deepest_mount_counts(path: str, kind: str) -> None:
    assert file_system_of(MOUNTS, path) == kind


def test_nothing_is_claimed_where_nothing_is_known() -> None:
    assert file_system_of("", "/home") is None


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "fuseblk", "apfs"])
def test_local_kinds_are_welcome(kind: str) -> None:
    assert kind not in NETWORK_FILE_SYSTEMS


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "fuse.sshfs", "afs", "ceph", "glusterfs"),
        *("lustre", "ocfs2", "gfs2", "fuse.rclone"),
    ],
)
def test_kinds_of_other_machines_are_not(kind: str) -> None:
    assert kind in NETWORK_FILE_SYSTEMS
