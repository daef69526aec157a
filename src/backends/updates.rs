//! Pending updates of the host, as the lists on it say: they are never fetched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::roll;
use super::services::command::{Ended, run};
use crate::config::Config;
use crate::domain::reading::Seen;
use crate::domain::text::plain;
use crate::domain::updates::{Policy, UpdatesReading};
use crate::ports::Observe;

/// How long apt may think; on a slow disk its first list takes some seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// Packages named.
const NAMED: usize = 20;

/// Looks at it.
#[derive(Debug)]
pub struct UpdatesProbe {
    root: PathBuf,
}

impl UpdatesProbe {
    /// A probe for this configuration.
    pub fn new(_config: &Config) -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl Observe for UpdatesProbe {
    type Value = UpdatesReading;

    async fn observe(&mut self) -> Seen<UpdatesReading> {
        let mut reading = files(&self.root);
        if !self.root.join("var/lib/dpkg/status").exists() {
            return Seen::Unseen("Pending updates are known for Debian and its kin alone.".to_owned());
        }
        // Without caches it writes nothing, as root too; `list` takes no lock.
        let words = [
            "-n",
            "19",
            "apt",
            "list",
            "--upgradable",
            "-o",
            "Dir::Cache::pkgcache=",
            "-o",
            "Dir::Cache::srcpkgcache=",
        ];
        let words = words.map(ToOwned::to_owned);
        let env = [("LC_ALL", "C".to_owned())];
        match run("nice", &words, &env, LIMIT).await {
            Ended::Well(text) => listed(&text, &mut reading),
            Ended::Badly(why) => reading.unseen.push(format!("apt does not list what is pending: {why}.")),
            Ended::Late => {
                reading.unseen.push(format!("apt has not listed what is pending within {} s.", LIMIT.as_secs()));
            }
            Ended::Absent => reading.unseen.push("There is no apt here: pending updates are not seen.".to_owned()),
            Ended::Failed(why) => reading.unseen.push(format!("apt can't be run ({why}).")),
        }
        Seen::Value(reading)
    }
}

/// What files say: small ones, on the system's own disk.
fn files(root: &Path) -> UpdatesReading {
    let stamps = ["var/lib/apt/periodic/update-success-stamp", "var/lib/apt/lists"];
    UpdatesReading {
        listed: stamps.iter().find_map(|path| roll::written(&root.join(path))),
        reboot: reboot(root),
        policy: policy(root),
        ..UpdatesReading::default()
    }
}

/// Why a reboot is needed: what packages left word of, or a newer kernel than the one that runs.
fn reboot(root: &Path) -> Option<String> {
    if root.join("run/reboot-required").exists() {
        let packages = roll::text(&root.join("run/reboot-required.pkgs")).unwrap_or_default();
        let mut names: Vec<String> = packages.lines().map(|line| plain(line, 60)).filter(|l| !l.is_empty()).collect();
        names.sort();
        names.dedup();
        let more = names.len().saturating_sub(5);
        names.truncate(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Some(if names.is_empty() { "a package asks for it".to_owned() } else { names.join(", ") + &more });
    }
    let runs = roll::text(&root.join("proc/sys/kernel/osrelease")).ok()?;
    let runs = runs.trim();
    let images = roll::list(&root.join("boot"), 200).ok()?;
    let version = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("vmlinuz-").map(ToOwned::to_owned);
    let installed: Vec<String> = images.iter().filter_map(version).collect();
    // A container runs its host's kernel, whatever lies in its /boot.
    if !installed.iter().any(|v| v == runs) {
        return None;
    }
    let newest = installed.iter().max_by_key(|v| parts(v))?;
    (newest != runs).then(|| format!("kernel {} is installed, {} runs", plain(newest, 60), plain(runs, 60)))
}

/// A version as numbers, for comparing: `6.1.0-42-amd64`.
fn parts(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// What `unattended-upgrades` is told (`/etc/apt/apt.conf.d`); the last setting wins.
fn policy(root: &Path) -> Policy {
    let files = roll::list(&root.join("etc/apt/apt.conf.d"), 200).unwrap_or_default();
    let (mut on, mut origins) = (None, Vec::new());
    for text in files.iter().filter_map(|path| roll::text(path).ok()) {
        let mut inside = false;
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#')) {
            if let Some(value) = line.strip_prefix("APT::Periodic::Unattended-Upgrade ") {
                on = value.trim().trim_matches(['"', ';']).parse::<u32>().ok().or(on);
            }
            if line.starts_with("Unattended-Upgrade::Origins-Pattern")
                || line.starts_with("Unattended-Upgrade::Allowed-Origins")
            {
                inside = line.contains('{');
                continue;
            }
            if inside && line.starts_with('}') {
                inside = false;
            } else if inside && line.starts_with('"') {
                origins.push(line.to_ascii_lowercase());
            }
        }
    }
    match on {
        None => Policy::Unknown,
        Some(0) => Policy::Nothing,
        Some(_) if !root.join("usr/bin/unattended-upgrade").exists() => Policy::Nothing,
        Some(_) if origins.iter().all(|origin| origin.contains("security")) => Policy::Security,
        // Debian's own file names the release too, whose updates are those of its point releases.
        Some(_) if origins.iter().any(|o| o.contains("-updates") || o.contains('*')) => Policy::Everything,
        Some(_) => Policy::Security,
    }
}

/// `openssl/stable-security 3.0.18-1 amd64 [upgradable from: 3.0.17-1]`.
fn listed(text: &str, reading: &mut UpdatesReading) {
    let (mut security, mut other) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [package, to, _, "[upgradable", "from:", from] = words.as_slice() else { continue };
        let Some((name, suites)) = package.split_once('/') else { continue };
        let told = format!("{} {} → {}", plain(name, 60), plain(from.trim_end_matches(']'), 40), plain(to, 40));
        if suites.contains("-security") { security.push(told) } else { other.push(told) }
    }
    let count = |n: usize| Some(u32::try_from(n).unwrap_or(u32::MAX));
    (reading.pending, reading.security) = (count(security.len() + other.len()), count(security.len()));
    reading.packages = security.into_iter().chain(other).take(NAMED).collect();
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{files, listed};
    use crate::domain::updates::{Policy, UpdatesReading};

    #[test]
    fn security_updates_are_counted_apart_and_named_first() {
        let text = "Listing...\n\
            bash/stable 5.2.15-2+b10 amd64 [upgradable from: 5.2.15-2+b2]\n\
            openssl/stable-security,stable 3.0.18-1 amd64 [upgradable from: 3.0.17-1]\nnonsense\n";
        let mut reading = UpdatesReading::default();
        listed(text, &mut reading);
        assert_eq!((reading.pending, reading.security), (Some(2), Some(1)));
        assert_eq!(reading.packages, ["openssl 3.0.17-1 → 3.0.18-1", "bash 5.2.15-2+b2 → 5.2.15-2+b10"]);
    }

    #[test]
    fn a_reboot_is_needed_by_word_of_a_package_or_by_a_newer_kernel() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let reboot = || files(root.path()).reboot;
        assert_eq!(reboot(), None);
        write("proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
        write("boot/vmlinuz-6.1.0-12-amd64", "");
        assert_eq!(reboot(), None, "the running one is not among them: a container");
        write("boot/vmlinuz-6.1.0-9-amd64", "");
        assert_eq!(reboot().as_deref(), Some("kernel 6.1.0-12-amd64 is installed, 6.1.0-9-amd64 runs"));
        write("run/reboot-required", "");
        write("run/reboot-required.pkgs", "libssl3\nlibc6\nlibssl3\n");
        assert_eq!(reboot().as_deref(), Some("libc6, libssl3"));
    }

    #[test]
    fn the_policy_is_what_is_configured() {
        let root = tempfile::tempdir().unwrap();
        let conf = root.path().join("etc/apt/apt.conf.d");
        fs::create_dir_all(&conf).unwrap();
        let policy = || files(root.path()).policy;
        assert_eq!(policy(), Policy::Unknown);
        fs::write(conf.join("20auto"), "APT::Periodic::Unattended-Upgrade \"1\";\n").unwrap();
        assert_eq!(policy(), Policy::Nothing, "it is not installed");
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/unattended-upgrade"), "").unwrap();
        let origins = "Unattended-Upgrade::Origins-Pattern {\n// \"origin=Debian,label=Debian\";\n \"origin=Debian,label=Debian-Security\";\n};\n";
        fs::write(conf.join("50unattended"), origins).unwrap();
        assert_eq!(policy(), Policy::Security);
        fs::write(conf.join("51more"), origins.replace("Debian-Security", "x,codename=bookworm-updates")).unwrap();
        assert_eq!(policy(), Policy::Everything);
        fs::write(conf.join("99off"), "APT::Periodic::Unattended-Upgrade \"0\";\n").unwrap();
        assert_eq!(policy(), Policy::Nothing);
    }
}
