use super::*;

#[test]
fn names_of_backups_are_known_and_others_are_not() {
    for (name, kind) in [
        ("pretix.dump", Kind::PgCustom),
        ("pretix-20261121-024737.dump", Kind::PgCustom),
        ("pretix.sql.gz", Kind::Sql),
        ("pretix.sql.3.gz", Kind::Sql),
        ("pretix.sql.gz.1", Kind::Sql),
        ("db.sql.zst", Kind::Sql),
        ("backup-2026-11-21.gz", Kind::Sql),
        ("data.tar.gz", Kind::Tar),
        ("data.tgz", Kind::Tar),
        ("db.sqlite3", Kind::Sqlite),
        ("pretix.dump.partial", Kind::PgCustom),
        ("pretix.SQL", Kind::Sql),
    ] {
        assert_eq!(of_name(name), Some(kind), "{name}");
    }
    for name in ["dpkg.status.0", "apt.extended_states.1.gz", "passwd.bak2", "readme.md", ".sql", "gz", "a.1"] {
        assert_eq!(of_name(name), None, "{name}");
    }
}

#[test]
fn what_is_being_written_is_told_by_its_name() {
    for name in ["pretix.dump.partial", "x.sql.tmp", ".pretix.dump.Ab12Cd"] {
        assert!(unfinished(name), "{name}");
    }
    for name in ["pretix.dump", ".secret", "new.sql", ".hidden.sql"] {
        assert!(!unfinished(name), "{name}");
    }
}

#[test]
fn a_head_tells_more_than_a_name() {
    assert_eq!(of_head(b"PGDMP\x01\x0e\x00\x04\x08\x01"), Kind::PgCustom);
    assert_eq!(of_head(b"PGDMP\x01\x0e\x00\x04\x08\x05"), Kind::PgDirectory);
    assert_eq!(of_head(b"--\n-- PostgreSQL database dump\n--\n"), Kind::PgSql);
    assert_eq!(of_head(b"--\n-- PostgreSQL database cluster dump\n--\n"), Kind::PgAll);
    assert_eq!(of_head(b"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19"), Kind::Mysql);
    assert_eq!(of_head(b"-- MySQL dump 10.13  Distrib 8.0.36"), Kind::Mysql);
    assert_eq!(of_head(b"SQLite format 3\0\x10\0"), Kind::Sqlite);
    assert_eq!(of_head(b"create table t (a int);\n"), Kind::Sql);
    assert_eq!(of_head(b""), Kind::Unknown);
    let mut tar = [0_u8; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert_eq!(of_head(&tar), Kind::Tar);
    tar[..7].copy_from_slice(b"toc.dat");
    assert_eq!(of_head(&tar), Kind::PgTar);
}
