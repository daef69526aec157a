//! Faults of the application on disk, made for real: an installation of its own, processes that stand in for gunicorn,
//! and a database with the table Django keeps its migrations in.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use midwatch::domain::level::Level;
use midwatch::triage::Finding;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::TempDir;

use crate::support::eyes::{Eyes, top};
use crate::support::servers::PostgresServer;
use crate::support::site::{StandsOn, serve};

const SITE: &str = "shop";
const PACKAGES: &str = "venv/lib/python3.11/site-packages";

/// pretix as it lies on disk, and eyes on it.
struct Installation {
    dir: TempDir,
}

/// A process that stands in for gunicorn: `tail` follows the files whose names make its command line.
struct Web(Child);

impl Drop for Web {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _collected = self.0.wait();
    }
}

impl Installation {
    /// Version 2026.7.0, installed an hour ago, on a database of its own.
    async fn new() -> Self {
        let installation = Self { dir: tempfile::tempdir().unwrap() };
        installation.write("pretix.cfg", &format!("[pretix]\ndatadir={}\n", installation.path("data").display()));
        installation.write("data/.secret", "the first one");
        fs::set_permissions(installation.path("data/.secret"), Permissions::from_mode(0o600)).unwrap();
        installation.write("venv/bin/gunicorn", "");
        installation.write("pretix.wsgi", "");
        for file in ["settings.py", "static.dist/staticfiles.json", "base/migrations/0001_initial.py"] {
            installation.write(&format!("{PACKAGES}/pretix/{file}"), "");
        }
        installation.write(&format!("{PACKAGES}/pretix/base/apps.py"), "class C:\n    label = 'pretixbase'\n");
        installation.install("2026.7.0", Duration::from_hours(1));
        for file in ["pretix.cfg", "data/.secret"] {
            installation.age(file, Duration::from_hours(1));
        }
        let database =
            SqliteConnectOptions::new().filename(installation.path("data/db.sqlite3")).create_if_missing(true);
        let mut connection = database.connect().await.unwrap();
        connection.execute("create table thing (n int)").await.unwrap();
        connection.close().await.unwrap();
        installation
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn age(&self, path: &str, age: Duration) {
        let file = File::options().write(true).open(self.path(path)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    /// As pip does: the old metadata goes, the new comes.
    fn install(&self, version: &str, age: Duration) {
        for entry in fs::read_dir(self.path(PACKAGES)).unwrap().map(Result::unwrap) {
            if entry.file_name().to_str().unwrap().ends_with(".dist-info") {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
        let record = format!("{PACKAGES}/pretix-{version}.dist-info/RECORD");
        self.write(&record, "");
        self.age(&record, age);
    }

    fn web(&self) -> Web {
        let mut command = Command::new("tail");
        command.arg("-f").arg(self.path("venv/bin/gunicorn")).arg("pretix.wsgi").current_dir(self.dir.path());
        command.env("PRETIX_CONFIG_FILE", self.path("pretix.cfg"));
        Web(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Eyes on it, once they have seen all there is and found nothing wrong.
    async fn eyes(&self, database: &str) -> Eyes {
        let port = serve(StandsOn::default());
        let config = format!(
            "discover = false\n[pace]\nhealth = \"1s\"\nbackups = \"1s\"\ndatabase = \"1s\"\n\
             [thresholds]\nupgrade_settle_s = 0\n[sites.{SITE}]\napp_config = \"{}\"\napp = \"pretix\"\n\
             url = \"http://127.0.0.1:{port}\"\npractice = true\n{database}\n",
            self.path("pretix.cfg").display()
        );
        let mut eyes = Eyes::open(self.dir.path(), &config);
        eyes.until("the application on disk is seen, and nothing is wrong with it", |m| {
            let site = m.sites.first().unwrap();
            let seen = site.on_disk.fresh().is_some_and(|app| app.version.is_some() && !app.processes.is_empty());
            let well = top(m, SITE).is_none_or(|f| f.level <= Level::Note);
            seen && site.health.fresh().is_some() && site.database.fresh().is_some() && well
        })
        .await;
        eyes
    }
}

/// Waits until the model's clock has gone on.
async fn after(eyes: &mut Eyes, span: Duration) {
    let until = eyes.model.now.plus_millis(i64::try_from(span.as_millis()).unwrap());
    eyes.until("time goes on", move |m| m.now >= until).await;
}

fn says(finding: &Finding, words: &str) {
    assert!(finding.title.contains(words), "{}: {}", finding.rule, finding.title);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_is_newer_than_its_processes_is_told_until_they_are_started_anew() {
    let on_disk = Installation::new().await;
    let web = on_disk.web();
    let mut eyes = on_disk.eyes("").await;
    // Times of processes are known to the second.
    after(&mut eyes, Duration::from_secs(5)).await;
    on_disk.install("2026.8.0", Duration::ZERO);
    let found = eyes.top(SITE, "code-newer-than-processes").await;
    says(&found, "pretix 2026.8.0 is on disk, web runs since before the upgrade");
    assert_eq!(found.level, Level::Warning);
    assert!(found.evidence.contains("it was 2026.7.0 before"), "{}", found.evidence);
    drop(web);
    let _web = on_disk.web();
    eyes.gone(SITE, "code-newer-than-processes").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_changes_or_goes_is_told_until_it_is_put_back() {
    let on_disk = Installation::new().await;
    let _web = on_disk.web();
    let mut eyes = on_disk.eyes("").await;
    after(&mut eyes, Duration::from_secs(5)).await;
    on_disk.write("data/.secret", "another one");
    let found = eyes.top(SITE, "secret-changed").await;
    says(&found, "with the next start all sessions and links end");
    let told = format!("{found:?}");
    assert!(!told.contains("another one") && !told.contains("the first one"));
    fs::remove_file(on_disk.path("data/.secret")).unwrap();
    let found = eyes.top(SITE, "secret-missing").await;
    assert_eq!(found.level, Level::Critical);
    on_disk.write("data/.secret", "the first one");
    on_disk.age("data/.secret", Duration::from_hours(1));
    eyes.gone(SITE, "secret-missing").await;
    eyes.gone(SITE, "secret-changed").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_files_that_are_not_there_are_told_until_they_are_rebuilt() {
    let on_disk = Installation::new().await;
    let _web = on_disk.web();
    let mut eyes = on_disk.eyes("").await;
    let built = on_disk.path(&format!("{PACKAGES}/pretix/static.dist"));
    let away = built.with_extension("away");
    fs::rename(&built, &away).unwrap();
    let found = eyes.top(SITE, "static-root-missing").await;
    assert!(Path::new(&found.subject).ends_with("pretix/static.dist"));
    fs::rename(&away, &built).unwrap();
    eyes.gone(SITE, "static-root-missing").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_with_debug_is_told_until_it_is_taken_out() {
    let on_disk = Installation::new().await;
    let _web = on_disk.web();
    let mut eyes = on_disk.eyes("").await;
    let text = fs::read_to_string(on_disk.path("pretix.cfg")).unwrap();
    on_disk.write("pretix.cfg", &[text.as_str(), "[django]\ndebug=true\n"].concat());
    // Else it would be newer than its processes too.
    on_disk.age("pretix.cfg", Duration::from_hours(1));
    eyes.told(SITE, "debug-on").await;
    on_disk.write("pretix.cfg", &text);
    eyes.gone(SITE, "debug-on").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres: tests/run installs it"]
async fn pending_migrations_are_told_until_they_are_applied() {
    let on_disk = Installation::new().await;
    let server = PostgresServer::start(&[]);
    let url = format!("postgresql://postgres:super-pw@127.0.0.1:{}/postgres", server.port);
    let mut session = sqlx::PgConnection::connect(&url).await.unwrap();
    let table = "create table django_migrations (id serial primary key, app varchar(255), name varchar(255), applied timestamptz)";
    session.execute(table).await.unwrap();
    let apply = |name: &str| {
        let sql = format!("insert into django_migrations (app, name, applied) values ('pretixbase', '{name}', now())");
        sqlx::AssertSqlSafe(sql)
    };
    session.execute(apply("0001_initial")).await.unwrap();
    let _web = on_disk.web();
    let mut eyes = on_disk.eyes(&format!("database = \"{url}\"")).await;
    eyes.until("the applied migrations are seen", |m| {
        m.sites[0].database.fresh().is_some_and(|db| db.migrations.is_some())
    })
    .await;
    on_disk.write(&format!("{PACKAGES}/pretix/base/migrations/0002_more.py"), "");
    on_disk.install("2026.8.0", Duration::from_mins(30));
    let found = eyes.top(SITE, "migrations-pending").await;
    assert_eq!(found.level, Level::Critical);
    says(&found, "1 migration is pending for 2026.8.0: the new code runs on the old schema");
    assert_eq!(found.evidence, "pretixbase.0002_more");
    session.execute(apply("0002_more")).await.unwrap();
    // They are looked at once a minute.
    after(&mut eyes, Duration::from_secs(30)).await;
    eyes.gone(SITE, "migrations-pending").await;
    session.close().await.unwrap();
    eyes.end().await;
}
