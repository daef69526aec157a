//! Dumps of a real PostgreSQL, in every format.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use midwatch::domain::backup::kind::Kind;
use midwatch::domain::backup::proof::Flaw;
use sqlx::{Connection as _, Executor as _};

use super::{cut_at_random, cut_everywhere, flaw, folder, missed, run, whole};
use crate::support::servers::PostgresServer;

fn url(server: &PostgresServer) -> String {
    format!("postgresql://postgres:super-pw@127.0.0.1:{}/postgres", server.port)
}

/// A server with a table worth dumping. Its text repeats nothing: of packed repetitions a changed bit may mean the same.
pub(crate) async fn server() -> PostgresServer {
    let server = PostgresServer::start(&[]);
    let mut session = sqlx::PgConnection::connect(&url(&server)).await.unwrap();
    let sql = "create table orders (id serial primary key, code text, note text);\
        insert into orders (code, note) select md5(n::text), md5((n * 7)::text) || md5((n * 11)::text) from generate_series(1, 3000) n;\
        create table empty (id int); analyze;";
    session.execute(sql).await.unwrap();
    server
}

/// The newest `pg_dump` that is installed; Debian's wrapper would choose by its own clusters.
pub(crate) fn pg_dump() -> PathBuf {
    let mut known: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|e| e.path().join("bin/pg_dump")).collect();
    known.sort();
    known.pop().unwrap()
}

/// Dumps into a file.
pub(crate) fn dump(server: &PostgresServer, format: &[&str], to: &Path) {
    run(Command::new(pg_dump()).args(format).arg("-f").arg(to).arg(url(server)));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_dump_of_the_schema_alone_is_known_in_every_format() {
    let server = server().await;
    let dir = folder();
    for format in ["-Fc", "-Ft", "-Fd", "-Fp"] {
        for (name, more, rows) in [("full", &[][..], true), ("schema", &["--schema-only"], false)] {
            let path = dir.path().join(format!("{name}{format}"));
            dump(&server, &[&[format], more].concat(), &path);
            assert_eq!(whole(&path).header.and_then(|h| h.rows), Some(rows), "{name} {format}");
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn every_format_is_proven_whole_and_never_when_it_is_cut() {
    let server = server().await;
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    for (name, format, kind) in [
        ("c.dump", &["-Fc"][..], Kind::PgCustom),
        ("c0.dump", &["-Fc", "-Z0"], Kind::PgCustom),
        ("t.tar", &["-Ft"], Kind::PgTar),
        ("p.sql", &["-Fp"], Kind::PgSql),
        ("p.sql.gz", &["-Fp", "-Z6"], Kind::PgSql),
    ] {
        dump(&server, format, &at(name));
        let verdict = whole(&at(name));
        assert_eq!(verdict.kind, Some(kind), "{name}");
        assert_eq!(verdict.digest.as_deref().map(str::len), Some(64), "{name}");
        cut_everywhere(&at(name), 0);
        cut_at_random(&at(name), 1000);
    }
    let header = whole(&at("c.dump")).header.unwrap();
    assert_eq!(header.database.as_deref(), Some("postgres"));
    assert!(header.server.is_some() && header.tool.is_some() && header.created.is_some(), "{header:?}");
    assert!(whole(&at("p.sql")).header.unwrap().server.is_some());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_single_changed_bit_in_packed_data_is_found() {
    let server = server().await;
    let dir = folder();
    for (name, format) in [("c.dump", &["-Fc"][..]), ("p.sql.gz", &["-Fp", "-Z6"])] {
        let path = dir.path().join(name);
        dump(&server, format, &path);
        let length = usize::try_from(path.metadata().unwrap().len()).unwrap();
        // The rows are in the middle; what comes before and after is not all protected by a checksum.
        let missed = missed(&path, (0..20).map(|n| length / 3 + n * length / 60));
        assert_eq!(missed, [], "{name} of {length}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_directory_dump_needs_every_one_of_its_files_whole() {
    let server = server().await;
    for (name, format) in [("packed", &["-Fd"][..]), ("plain", &["-Fd", "-Z0"])] {
        let dir = folder();
        let path = dir.path().join(name);
        dump(&server, format, &path);
        assert_eq!(whole(&path).kind, Some(Kind::PgDirectory));
        let mut files: Vec<PathBuf> = fs::read_dir(&path).unwrap().flatten().map(|e| e.path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            flaw(&path);
            for length in [0, bytes.len() / 2, bytes.len() - 1] {
                fs::write(&file, &bytes[..length]).unwrap();
                flaw(&path);
            }
            fs::write(&file, &bytes).unwrap();
        }
        whole(&path);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn what_a_failed_pipe_leaves_behind_is_empty() {
    let dir = folder();
    let path = dir.path().join("pretix.sql.gz");
    let script = "\"$0\" postgresql://nobody@127.0.0.1:1/none 2>/dev/null | gzip > \"$1\"";
    run(Command::new("sh").args(["-c", script]).arg(pg_dump()).arg(&path));
    assert_eq!(path.metadata().unwrap().len(), 20);
    assert_eq!(flaw(&path), Flaw::Empty);
    // What a shell does before pg_dump fails.
    fs::write(&path, "").unwrap();
    assert_eq!(flaw(&path), Flaw::Empty);
    // Its words where the dump should be.
    fs::write(&path, "pg_dump: error: aborting because of server version mismatch\n").unwrap();
    assert_eq!(flaw(&path), Flaw::Failed);
}
