//! The file systems that hold data, out of everything in `/proc/self/mountinfo`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::super::command_line::without_url_password;
use crate::domain::text::plain;

/// File systems of a reading, at most.
pub(super) const MOST: usize = 64;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted: what `statvfs` is asked about.
    pub(super) path: PathBuf,
    /// The kernel's `major:minor` of it, the same for every place where it is mounted.
    pub(super) id: String,
    /// Its device, as it may be shown.
    pub(super) device: String,
    /// Its kind.
    pub(super) kind: String,
    /// Whether the file system itself, not only this view of it, takes no writes.
    pub(super) read_only: bool,
    /// Whether this view of it is mounted for writing.
    pub(super) for_writing: bool,
    /// Whether the kernel itself says that it stopped writing after an error.
    pub(super) failed: bool,
}

impl Mount {
    /// An image that somebody made read-only, unless it was writable before.
    pub(super) fn is_image(&self) -> bool {
        self.kind == "tmpfs" && self.read_only
    }
}

/// Kinds without data of their own, or images that are full by nature.
const PSEUDO: [&str; 38] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cramfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fuse.squashfuse",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nfsd",
    "nsfs",
    "nullfs",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "udf",
];

/// Every file system that holds data, once each, at the shortest of its mount points, sorted by it; and how many there
/// are beyond the bound. Lines that can't be understood are left out.
pub(super) fn parse_mountinfo(text: &[u8]) -> (Vec<Mount>, usize) {
    // of several at one place the last one covers the others
    let mut by_path = BTreeMap::new();
    for mount in text.split(|byte| *byte == b'\n').filter_map(parse_line) {
        by_path.insert(mount.path.clone(), mount);
    }
    let mut by_id: BTreeMap<String, Mount> = BTreeMap::new();
    for mount in by_path.into_values() {
        let length = |path: &Path| path.as_os_str().len();
        if holds_data(&mount) && by_id.get(&mount.id).is_none_or(|other| length(&other.path) > length(&mount.path)) {
            by_id.insert(mount.id.clone(), mount);
        }
    }
    let mut mounts: Vec<_> = by_id.into_values().collect();
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    let beyond = mounts.len().saturating_sub(MOST);
    mounts.truncate(MOST);
    (mounts, beyond)
}

/// `36 35 98:0 /root /mount/point rw,opts shared:1 - ext4 /dev/sda1 rw,superopts` (`proc_pid_mountinfo(5)`).
///
/// The last field is of the file system. That before the dash is of this view of it, and so is the flag of `statvfs`:
/// in a systemd unit with `ProtectSystem=` all of them are read-only. ext4 of Linux 6.15 and later says `emergency_ro`
/// when it has stopped taking writes after an error.
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = fields.nth(2)?;
    let path = fields.nth(1)?;
    let for_writing = fields.next()?.split(|byte| *byte == b',').any(|option| option == b"rw");
    let kind = fields.by_ref().skip_while(|field| *field != b"-").nth(1)?;
    let device = fields.next().unwrap_or_default();
    let options = fields.next().unwrap_or_default();
    let option = |wanted: &[&[u8]]| options.split(|byte| *byte == b',').any(|option| wanted.contains(&option));
    let word = |bytes: &[u8]| plain(&String::from_utf8_lossy(bytes), 200);
    let mount = Mount {
        path: PathBuf::from(OsString::from_vec(unescaped(path))),
        id: word(id),
        device: word(without_url_password(&String::from_utf8_lossy(&unescaped(device))).as_bytes()),
        kind: word(kind),
        read_only: option(&[b"ro", b"emergency_ro", b"shutdown"]),
        for_writing,
        failed: option(&[b"emergency_ro", b"shutdown"]),
    };
    (mount.path.is_absolute() && mount.id.contains(':') && !mount.kind.is_empty()).then_some(mount)
}

/// White space, line ends and backslashes come as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    loop {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = tail;
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
            [] => return out,
        }
    }
}

fn holds_data(mount: &Mount) -> bool {
    let under = |roots: &[&str]| roots.iter().any(|root| mount.path.starts_with(root));
    match mount.kind.as_str() {
        kind if PSEUDO.contains(&kind) => false,
        _ if under(&["/proc", "/sys", "/dev"]) => false,
        // containers' layers show the numbers of the file system below; inside a container it is all there is
        "overlay" | "aufs" | "fuse.fuse-overlayfs" => mount.path == Path::new("/"),
        // nobody's data: run-time state, and the secrets and shared memory of containers
        "tmpfs" => !under(&["/run", "/var/lib/docker", "/var/lib/containers", "/var/lib/kubelet"]),
        // what a container runtime mounts over single files
        _ => !under(&["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]),
    }
}

/// Whether `/etc/fstab` mounts something here for writing.
pub(super) fn meant_for_writing(path: &Path) -> bool {
    super::files::text("/etc/fstab").is_ok_and(|text| fstab_writes(&text, path))
}

/// `device place kind options …`.
fn fstab_writes(text: &str, path: &Path) -> bool {
    text.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (Some(device), Some(place), Some(kind)) = (fields.next(), fields.next(), fields.next()) else {
            return false;
        };
        let options = fields.next().unwrap_or_default();
        let place = unescaped(place.as_bytes());
        !device.starts_with('#')
            && Path::new(&OsString::from_vec(place)) == path
            && !PSEUDO.contains(&kind)
            && !options.split(',').any(|option| option == "ro")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MOST, parse_mountinfo};

    fn places(text: &str) -> Vec<String> {
        parse_mountinfo(text.as_bytes())
            .0
            .iter()
            .filter(|mount| !mount.is_image())
            .map(|mount| format!("{} {}", mount.path.display(), mount.kind))
            .collect()
    }

    #[test]
    fn only_what_holds_data_is_kept_and_once() {
        let text = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=12334460k
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
28 27 254:0 /srv/data /srv/bind rw,relatime - ext4 /dev/vda rw
29 27 0:40 / /run rw - tmpfs tmpfs rw
30 27 0:41 / /tmp rw - tmpfs tmpfs rw
31 27 0:42 / /opt/image rw - tmpfs none ro
32 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
33 27 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
34 27 0:51 / /mnt/backup\\040one rw - nfs4 nas:/export rw
35 27 0:52 / /mnt/auto rw - autofs systemd-1 rw
36 35 0:53 / /mnt/auto rw - cifs //nas/share rw
37 27 0:54 @home /home rw - btrfs /dev/vdb rw,subvol=/@home
38 27 0:54 @srv /srv/web rw - btrfs /dev/vdb rw,subvol=/@srv
39 29 0:55 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
40 29 8:17 / /run/media/stick rw - vfat /dev/sdb1 rw
41 27 0:56 / /var/lib/docker/containers/x/mounts/shm rw - tmpfs shm rw
";
        assert_eq!(
            places(text),
            ["/ ext4", "/home btrfs", "/mnt/auto cifs", "/mnt/backup one nfs4", "/run/media/stick vfat", "/tmp tmpfs"]
        );
    }

    #[test]
    fn a_containers_root_counts_and_its_bound_files_do_not() {
        let text = "1 0 0:60 / / rw - overlay overlay rw\n2 1 8:1 /d/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n\
                    3 1 8:1 /v/data /data rw - ext4 /dev/sda1 rw\n";
        assert_eq!(places(text), ["/ overlay", "/data ext4"]);
    }

    #[test]
    fn only_the_file_system_itself_counts_as_read_only() {
        let read_only = |options: &str| {
            let (mounts, _) = parse_mountinfo(format!("1 0 8:1 / / {options}\n").as_bytes());
            mounts.first().map(|mount| mount.read_only)
        };
        assert_eq!(read_only("ro,nosuid - ext4 /dev/sda1 rw,errors=remount-ro"), Some(false));
        assert_eq!(read_only("rw - ext4 /dev/sda1 ro,errors=remount-ro"), Some(true));
        assert_eq!(read_only("rw - ext4 /dev/sda1 rw,emergency_ro"), Some(true));
        assert_eq!(read_only("rw shared:1 - ext4 /dev/sda1"), Some(false));
    }

    #[test]
    fn fstab_says_what_should_be_writable() {
        let text = "# /dev/x /commented ext4 defaults\nUUID=1 / ext4 errors=remount-ro 0 1\n/dev/y /mnt/a\\040b ext4 noauto,ro\n\
                    /dev/z /srv xfs\n/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto\n/dev/sr1 /cd iso9660 user\n";
        let writes = |path: &str| super::fstab_writes(text, std::path::Path::new(path));
        assert!(writes("/") && writes("/srv"));
        assert!(!writes("/mnt/a b") && !writes("/commented") && !writes("/cd") && !writes("/other"));
    }

    #[test]
    fn the_password_of_a_device_is_masked() {
        let (mounts, _) = parse_mountinfo(b"1 0 0:60 / /dav rw - fuse.davfs https://me:hunter2@dav.example/x rw\n");
        assert_eq!(mounts.first().map(|mount| mount.device.as_str()), Some("https://me:***@dav.example/x"));
    }

    #[test]
    fn broken_lines_are_left_out() {
        assert_eq!(parse_mountinfo(b"\n36 35 98:0 / /a\n36 35 98:0 / /a rw -\n1 0 x / /b rw - ext4 d rw\n1 0 8:1 / b rw - ext4 d rw\n\xff\xfe").0, []);
        // the device is missing where the text was cut
        assert_eq!(places("36 35 98:0 / /a rw - ext4"), ["/a ext4"]);
    }

    #[test]
    fn their_number_is_bounded() {
        let lines: Vec<_> = (0..100).map(|i| format!("1 0 8:{i} / /m{i:03} rw - ext4 /dev/x{i} rw")).collect();
        let (mounts, beyond) = parse_mountinfo(lines.join("\n").as_bytes());
        assert_eq!((mounts.len(), beyond), (MOST, 36));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mounts, _) = parse_mountinfo(&text);
            prop_assert!(mounts.len() <= MOST);
        }

        #[test]
        fn any_line_is_survived(line in "[0-9]{1,3} [0-9]{1,3} [0-9]{1,3}:[0-9]{1,3} /\\PC{0,9} /(\\\\[0-9]{0,4}|[a-z ]){0,9} r[wo](,\\PC{0,5})? (- )?\\PC{0,30}") {
            let (mounts, _) = parse_mountinfo(line.as_bytes());
            prop_assert!(mounts.len() <= 1);
        }
    }
}
