use std::fs;

use super::command::understand;
use super::*;
use crate::config::backups::Tool;

fn around(files: &[(&str, &str)]) -> (tempfile::TempDir, Surroundings) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let at = dir.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }
    let around = Surroundings { root: dir.path().to_owned(), cwd: PathBuf::from("/"), ..Surroundings::default() };
    (dir, around)
}

fn targets(command: &str) -> Option<Vec<String>> {
    let (_dir, around) = around(&[("/srv/backups/x", ""), ("/backup/db/x", "")]);
    understand(&around, command).map(|u| u.targets.iter().map(|t| t.display().to_string()).collect())
}

#[test]
fn where_a_command_writes() {
    for (command, expected) in [
        ("pg_dump -Fc pretix > /srv/backups/pretix-$(date +%F).dump", "/srv/backups"),
        ("pg_dump -Fc -f /srv/backups/pretix.dump pretix", "/srv/backups"),
        ("pg_dump pretix | gzip > /srv/backups/$(date +\\%F)/pretix.sql.gz", "/srv/backups"),
        ("mysqldump --result-file=/backup/db/pretix.sql pretix", "/backup/db"),
        ("tar czf /backup/data.tgz /var/pretix/data", "/backup"),
        ("rsync -a /var/pretix/data/ /srv/backups/data/", "/srv/backups/data"),
        ("sqlite3 /var/x/db.sqlite3 \".backup '/srv/backups/db.sqlite3'\"", "/srv/backups"),
        ("DIR=/srv/backups; pg_dump pretix > $DIR/pretix.sql", "/srv/backups"),
    ] {
        assert_eq!(targets(command), Some(vec![expected.to_owned()]), "{command}");
    }
    for command in ["/usr/bin/certbot renew", "find /tmp -delete", "tar xf /root/x.tar", "python -m pretix runperiodic"]
    {
        assert_eq!(targets(command), None, "{command}");
    }
}

#[test]
fn a_script_is_read_for_what_it_does() {
    let script = "#!/bin/bash\nset -e\nBACKUP_DIR=\"/srv/backups\"\n# pg_dump old > /old/place\nsudo -u postgres pg_dump -Fc pretix > \"$BACKUP_DIR/pretix-$(date +%F).dump\" 2>> /var/log/pretix-backup.log\nfind $BACKUP_DIR -name '*.dump' -mtime +7 -delete\n";
    let (_dir, around) = around(&[("/usr/local/bin/backup.sh", script), ("/srv/backups/x", "")]);
    let understood = understand(&around, "/usr/local/bin/backup.sh").unwrap();
    assert_eq!(understood.targets, [PathBuf::from("/srv/backups")]);
    assert_eq!(understood.kept_days, Some(8));
    assert_eq!(understood.log, Some(PathBuf::from("/var/log/pretix-backup.log")));
    assert_eq!(understood.databases, ["pretix"]);
}

#[test]
fn tables_and_timers_are_found_and_secrets_are_not_kept() {
    let (_dir, around) = around(&[
        (
            "/etc/cron.d/pretix",
            "MAILTO=root\n0 2 * * * postgres PGPASSWORD=geheim123 pg_dump pretix > /srv/backups/pretix.sql\n*/5 * * * * root /bin/true\n@daily root borg create /backup/borg::{now} /var/pretix\n",
        ),
        ("/srv/backups/x", ""),
        ("/etc/systemd/system/save.timer", "[Timer]\nOnCalendar=*-*-* 03:00\n"),
        (
            "/etc/systemd/system/save.service",
            "[Service]\nUser=backup\nEnvironment=RESTIC_REPOSITORY=/srv/restic RESTIC_PASSWORD_FILE=/etc/restic.pw\nExecStart=/usr/bin/restic backup /var/pretix/data\n",
        ),
        ("/usr/lib/systemd/system/dpkg-db-backup.timer", "[Timer]\nOnCalendar=daily\n"),
    ]);
    let jobs = Jobs::find(&around);
    let told: Vec<(&str, &str)> = jobs.found.iter().map(|j| (j.told.name.as_str(), j.told.schedule.as_str())).collect();
    assert_eq!(
        told,
        [
            ("cron /etc/cron.d/pretix", "0 2 * * *"),
            ("cron /etc/cron.d/pretix", "@daily"),
            ("timer save.timer", "*-*-* 03:00")
        ]
    );
    assert!(!format!("{jobs:?}").contains("geheim123"), "{jobs:?}");
    let tools: Vec<(Tool, &str)> =
        jobs.found.iter().flat_map(|j| &j.repositories).map(|r| (r.tool, r.repo.as_str())).collect();
    assert_eq!(tools, [(Tool::Borg, "/backup/borg"), (Tool::Restic, "/srv/restic")]);
    let restic = jobs.found.iter().flat_map(|j| &j.repositories).find(|r| r.tool == Tool::Restic).unwrap();
    assert_eq!(restic.password_file, Some(PathBuf::from("/etc/restic.pw")));
}
