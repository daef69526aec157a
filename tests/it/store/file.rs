//! The file itself: what is cleared from it, and what is not trusted.

use std::fs;
use std::path::Path;

use midwatch::backends::store::{PollLock, Reader, StoreError, Writer};
use midwatch::domain::health::HealthState;
use midwatch::domain::history::{SeriesKey, step_of};
use midwatch::domain::id::{HostId, Scope, SourceKind};
use midwatch::domain::observation::{Observation, Observed};
use midwatch::domain::reading::{Reading, Seen};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::{T0, health, host, site};

async fn open(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

#[test]
fn a_lock_file_that_is_a_pipe_is_refused_and_not_waited_for() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(format!("{}.lock", site().file_stem()));
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let error = PollLock::try_take(dir.path(), &site()).unwrap_err();
    let sentence = error.sentence(dir.path());
    let expected = format!("{}: is no plain file; move it away: history is kept in memory", path.display());
    assert_eq!(sentence, expected);
}

#[tokio::test]
async fn twenty_days_leave_two_weeks_a_day_and_three_hours() {
    let dir = TempDir::new().unwrap();
    let scope = Scope::Host(HostId("web1".to_owned()));
    let mut writer = Writer::open(dir.path(), &scope).await.unwrap();
    let end = 20 * 86_400;
    // A look now and then as long as nothing of it stays; then as often as each tier has points.
    let gone = (0..end - 14 * 86_400).step_by(43_200);
    let coarse = (end - 14 * 86_400..end - 86_400).step_by(600);
    let middle = (end - 86_400..end - 3 * 3600).step_by(60);
    let each_step = (end - 3 * 3600..=end).step_by(10);
    let times: Vec<i64> = gone.chain(coarse).chain(middle).chain(each_step).collect();
    for chunk in times.chunks(500) {
        let batch: Vec<Observed> = chunk.iter().map(|s| host(T0.plus_secs(*s), 38)).collect();
        writer.publish(&batch, &[]).await.unwrap();
    }
    let now = T0.plus_secs(end);
    let past = writer.past(now).await.series;
    assert_eq!(past.len(), 40, "every series comes back: {:?}", past.iter().map(|(k, _)| k).collect::<Vec<_>>());
    for (key, points) in &past {
        let steps: Vec<i64> = points.iter().map(|p| p.step).collect();
        assert!(steps.is_sorted() && steps.len() <= 1081, "{key:?}");
        assert!(steps.iter().all(|s| (step_of(now) - 1080..=step_of(now)).contains(s)), "{key:?}");
    }
    writer.close().await;

    let mut reader = Reader::new(dir.path(), &scope);
    assert_eq!(reader.recall(now).await.unwrap(), past, "a reader recalls the same");
    let file = dir.path().join("host-web1.db");
    let mut db = open(&file).await;
    // Ten minutes lie between two clearings.
    for (tier, kept) in [(10, 3 * 3600), (60, 86_400), (600, 14 * 86_400)] {
        let oldest: i64 = sqlx::query_scalar("select min(step) from history where tier = ?")
            .bind(tier)
            .fetch_one(&mut db)
            .await
            .unwrap();
        let age = now.as_secs() - oldest * tier;
        assert!((kept - tier..=kept + 600 + tier).contains(&age), "tier {tier}: {age}");
    }
    let size = fs::metadata(&file).unwrap().len();
    assert!(size < 12_000_000, "{size}");
}

#[tokio::test]
async fn a_question_put_in_the_future_holds_nobody_up_and_survives_beside_another() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    writer.begin_request(SourceKind::Direct, T0, T0.plus_secs(20)).await.unwrap();
    writer.begin_request(SourceKind::Health, T0.plus_secs(500), T0.plus_secs(535)).await.unwrap();
    writer.begin_request(SourceKind::Traffic, T0, T0.plus_secs(90_000)).await.unwrap();
    writer.end_request(SourceKind::Traffic).await.unwrap();
    assert_eq!(writer.past(T0).await.pending, Some((T0, T0.plus_secs(20))));
    writer.begin_request(SourceKind::Traffic, T0, T0.plus_secs(90_000)).await.unwrap();
    assert_eq!(writer.past(T0).await.pending, Some((T0, T0.plus_secs(20))), "nobody waits for a day");
}

/// A power cut may leave an index without the rows of its table; SQLite notices that only when it is asked to.
#[tokio::test]
async fn an_index_that_lost_its_rows_is_noticed() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(format!("{}.db", site().file_stem()));
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    writer.publish(&[health(T0, HealthState::Ok, 1.0)], &[]).await.unwrap();
    writer.close().await;
    let mut db = open(&file).await;
    let root: i64 =
        sqlx::query_scalar("select rootpage from sqlite_master where type = 'index' and tbl_name = 'readings'")
            .fetch_one(&mut db)
            .await
            .unwrap();
    let page: i64 = sqlx::query_scalar("pragma page_size").fetch_one(&mut db).await.unwrap();
    db.close().await.unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // In the head of an index page: no cells, their content begins at the page's end.
    let head = usize::try_from((root - 1) * page).unwrap();
    let [high, low] = u16::try_from(page).unwrap().to_be_bytes();
    bytes.splice(head + 3..head + 7, [0, 0, high, low]);
    fs::write(&file, bytes).unwrap();

    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    assert!(file.with_extension("db.broken").exists());
    assert_eq!(writer.past(T0).await.series, [], "a new one was begun");
    writer.publish(&[health(T0, HealthState::Ok, 1.0)], &[]).await.unwrap();
}

#[tokio::test]
async fn what_a_newer_midwatch_publishes_is_passed_over_by_a_reader() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    let known = health(T0, HealthState::Ok, 1.0);
    writer.publish(std::slice::from_ref(&known), &[]).await.unwrap();
    let mut db = open(&dir.path().join(format!("{}.db", site().file_stem()))).await;
    sqlx::query(
        "insert into readings (source, slot, seq, observed) values ('mail', 'value', 2, '{\"source\": \"mail\"}')",
    )
    .execute(&mut db)
    .await
    .unwrap();
    let mut reader = Reader::new(dir.path(), &site());
    assert_eq!(reader.poll().await.unwrap(), [known]);
    assert_eq!(reader.poll().await.unwrap(), []);
}

#[tokio::test]
async fn a_file_that_can_not_be_read_is_an_error_with_its_name() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(format!("{}.db", site().file_stem()));
    fs::write(&file, "this is no database, however long one looks at it".repeat(40)).unwrap();
    let error = Reader::new(dir.path(), &site()).poll().await.unwrap_err();
    assert!(matches!(error, StoreError::Database { .. }));
    assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    writer.publish(&[health(T0, HealthState::Ok, 5.0)], &[]).await.unwrap();
    let latency = SeriesKey::new("latency");
    assert!(writer.past(T0).await.series.iter().any(|(key, _)| *key == latency));
}

/// What was published is not lost by what came after it: whoever opens later sees the last value, since when it fails, and
/// that a question is under way.
#[tokio::test]
async fn a_failure_leaves_the_last_value_for_who_opens_later() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    let seen =
        |secs, seen| Observed { scope: site(), at: T0.plus_secs(secs), took_ms: 1, what: Observation::Health(seen) };
    let value = health(T0, HealthState::Ok, 5.0);
    let failed = |secs| seen(secs, Seen::Failed(format!("refused at {secs}")));
    let late = async || Reader::new(dir.path(), &site()).poll().await.unwrap();
    writer.publish(std::slice::from_ref(&value), &[]).await.unwrap();
    for secs in [5, 10, 15] {
        writer.publish(&[failed(secs)], &[]).await.unwrap();
    }
    writer.publish(&[seen(20, Seen::Asking)], &[]).await.unwrap();
    let told = late().await;
    assert_eq!(told, [value, failed(5), failed(15), seen(20, Seen::Asking)]);
    let mut reading = Reading::Never;
    for observed in told {
        let Observation::Health(seen) = observed.what else { continue };
        reading.absorb(seen, observed.at, 1);
    }
    assert_eq!(reading.failed_since(), Some(T0.plus_secs(5)));
    assert!(reading.value().is_some());
    let again = health(T0.plus_secs(25), HealthState::Ok, 6.0);
    writer.publish(std::slice::from_ref(&again), &[]).await.unwrap();
    assert_eq!(late().await, [again], "and what is over is over");
}

#[tokio::test]
async fn a_clock_that_jumps_makes_no_history_old_and_what_is_no_more_goes() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    let latency = SeriesKey::new("latency");
    let at = |secs| health(T0.plus_secs(secs), HealthState::Ok, 5.0);
    let gone = (T0, SeriesKey::new("queue:gone"), 1.0);
    writer.publish(&[at(0)], &[gone]).await.unwrap();
    for secs in (0..6_000).step_by(10) {
        writer.publish(&[at(secs)], &[]).await.unwrap();
    }
    let points = async |writer: &mut Writer, now: i64, key: &SeriesKey| {
        let series = writer.past(T0.plus_secs(now)).await.series;
        series.into_iter().find(|(known, _)| known == key).map_or(0, |(_, points)| points.len())
    };
    // Ten years ahead, back, and back to 1970.
    for far in [315_360_000, 315_361_000, 6_010, -1_795_000_000, 6_700] {
        writer.publish(&[at(far)], &[]).await.unwrap();
    }
    assert!(points(&mut writer, 6_700, &latency).await >= 600);
    assert_eq!(points(&mut writer, 6_700, &SeriesKey::new("queue:gone")).await, 1);
    let mut db = open(&dir.path().join(format!("{}.db", site().file_stem()))).await;
    for secs in (7_000..20_000).step_by(10) {
        writer.publish(&[at(secs)], &[]).await.unwrap();
    }
    let left: i64 = sqlx::query_scalar("select count(*) from history where tier = 10 and series = 'queue:gone'")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(left, 0, "three hours of watching later");
}

#[tokio::test]
async fn a_reader_follows_when_a_damaged_file_is_moved_aside() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(format!("{}.db", site().file_stem()));
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    for secs in 0..5 {
        writer.publish(&[health(T0.plus_secs(secs), HealthState::Ok, 1.0)], &[]).await.unwrap();
    }
    let mut reader = Reader::new(dir.path(), &site());
    assert_eq!(reader.poll().await.unwrap().len(), 1);
    writer.close().await;
    fs::write(&file, "this is no database, however long one looks at it".repeat(400)).unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    assert!(file.with_extension("db.broken").exists());
    let new = health(T0.plus_secs(60), HealthState::ServerError, 9.0);
    writer.publish(std::slice::from_ref(&new), &[]).await.unwrap();
    assert_eq!(reader.poll().await.unwrap(), [new], "though the new file counts from one again");
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_up_to_date_with_its_history() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(format!("{}.db", site().file_stem()));
    Writer::open(dir.path(), &site()).await.unwrap().close().await;
    let mut db = open(&file).await;
    let back = "drop table steps; drop table readings;
        create table readings (source text primary key, seq integer not null, observed text not null);
        insert into readings values ('health', 7, '{}');
        delete from _sqlx_migrations where version = 2;";
    sqlx::raw_sql(back).execute(&mut db).await.unwrap();
    sqlx::query("insert into history values (10, 'latency', ?, 4.0)").bind(step_of(T0)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    assert!(!file.with_extension("db.broken").exists());
    assert_eq!(writer.past(T0).await.series.len(), 1);
    writer.publish(&[health(T0.plus_secs(10), HealthState::Ok, 1.0)], &[]).await.unwrap();
    let latency = SeriesKey::new("latency");
    let series = writer.past(T0.plus_secs(10)).await.series;
    let points = series.into_iter().find(|(key, _)| *key == latency).unwrap().1;
    assert_eq!(points.len(), 2, "a clearing leaves what the old one wrote");
}
