//! What the practice site has from the beginning: releases, orders, files, and backups of both: a good one, an old one, and one that
//! was cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sqlx::Connection as _;

use super::{Ground, database, releases};

/// Orders in the backup of three days ago, and in what is in use at the beginning.
const ORDERS: (u32, u32) = (160, 240);
const DAY: Duration = Duration::from_hours(24);
/// How old the good one is: what was written just now is not yet taken for whole.
const RECENT: Duration = Duration::from_mins(10);
/// Uploaded files, as people sell tickets with.
const FILES: [(&str, &str); 3] = [
    ("media/banner.txt", "Practice Tickets\n"),
    ("media/events/1/terms.txt", "No refunds on the practice site.\n"),
    ("media/events/2/plan.txt", "A 1-20, B 1-24, C 1-28\n"),
];
/// What signs the application's sessions.
const SECRET: &str = ".secret";

/// Furnishes a new site.
///
/// # Errors
/// When a file can't be written or the database can't be made.
pub async fn furnish(ground: &Ground) -> color_eyre::Result<()> {
    releases::lay(ground)?;
    let private = |path: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    private(&ground.backups())?;
    for (name, text) in FILES {
        let path = ground.data().join(name);
        path.parent().map(private).transpose()?;
        std::fs::write(path, text)?;
    }
    let secret = std::fs::read("/proc/sys/kernel/random/uuid").unwrap_or_else(|_| b"practice".to_vec());
    write_new(&ground.data().join(SECRET))?.write_all(&secret)?;
    write_new(&ground.database())?;
    releases::migrate(ground, &ground.current()).await?;
    let mut db = database::open(&ground.database()).await?;
    let now = SystemTime::now() - RECENT;
    database::seed(&mut db, ORDERS.0).await?;
    save(&mut db, &place(ground, "", now - 3 * DAY, "sqlite3"), now - 3 * DAY).await?;
    database::seed(&mut db, ORDERS.1 - ORDERS.0).await?;
    let good = place(ground, "", now, "sqlite3");
    save(&mut db, &good, now).await?;
    db.close().await?;
    cut_off(&good, &place(ground, "", now - DAY, "sqlite3"), now - DAY)?;
    archive(ground, &place(ground, "-files", now, "tar"), now)?;
    Ok(())
}

/// A backup's path: as midwatch itself names them.
fn place(ground: &Ground, kind: &str, at: SystemTime, ending: &str) -> PathBuf {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default().strftime("%Y%m%d-%H%M%S");
    ground.backups().join(format!("practice{kind}-{at}.{ending}"))
}

fn write_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Saves the database as it is now, under the date of another day.
async fn save(db: &mut sqlx::SqliteConnection, to: &Path, at: SystemTime) -> color_eyre::Result<()> {
    sqlx::query("vacuum into ?").bind(to.display().to_string()).execute(db).await?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600))?;
    Ok(File::options().append(true).open(to)?.set_modified(at)?)
}

/// What is left of a backup whose disk was full.
fn cut_off(whole: &Path, to: &Path, at: SystemTime) -> io::Result<()> {
    let whole = std::fs::read(whole)?;
    let mut file = write_new(to)?;
    file.write_all(whole.get(..whole.len() / 3).unwrap_or_default())?;
    file.set_modified(at)
}

fn archive(ground: &Ground, to: &Path, at: SystemTime) -> io::Result<()> {
    let mut archive = tar::Builder::new(write_new(to)?);
    archive.append_path_with_name(ground.data().join(SECRET), SECRET)?;
    archive.append_dir_all("media", ground.media())?;
    archive.into_inner()?.set_modified(at)
}
