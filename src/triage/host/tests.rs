use super::claims;
use crate::domain::host::{
    Clock, DeletedFile, Depth, Disk, DiskSpace, HostReading, Listener, Lookup, Minute, OomKill, OomKills, Pressure,
};
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::time::Timestamp;
use crate::triage::{Claim, HostFacts, Thresholds};

const NOW: Timestamp = Timestamp::from_millis(1_795_250_200_000);
const GIB: u64 = 1 << 30;

fn of(value: HostReading) -> Vec<Claim> {
    let reading = Reading::Fresh { value, at: NOW, took_ms: 1 };
    let facts = HostFacts {
        name: "web1",
        reading: &reading,
        changes: &Reading::Never,
        schedule: &Reading::Never,
        units: &Reading::Never,
        updates: &Reading::Never,
        people: &Reading::Never,
        heard: Some(NOW),
        silent_after_ms: 45_000,
        now: NOW,
    };
    claims(&facts, &Thresholds::default())
}

fn rules(value: HostReading) -> Vec<(&'static str, Level)> {
    of(value).into_iter().map(|claim| (claim.rule, claim.level)).collect()
}

fn host() -> HostReading {
    HostReading { memory_total: 8 * GIB, memory_available: 6 * GIB, cores: vec![0.1; 2], ..HostReading::default() }
}

fn with(depth: Depth) -> HostReading {
    HostReading { depth: Some(depth), ..host() }
}

fn disk(available: u64) -> Disk {
    Disk {
        mount: "/var".to_owned(),
        device: "/dev/vda1".to_owned(),
        kind: "ext4".to_owned(),
        turned_read_only: None,
        space: Ok(DiskSpace {
            total: 100 * GIB,
            available,
            reserved: 0,
            inodes: 1000,
            inodes_available: 900,
            read_only: false,
            full_in_s: None,
            inodes_full_in_s: None,
        }),
    }
}

fn deleted(bytes: u64, data_of: Option<&str>) -> DeletedFile {
    DeletedFile {
        pid: 7,
        fd: 3,
        command: "gunicorn pretix.wsgi".to_owned(),
        path: "/var/log/pretix.log".to_owned(),
        mount: "/var".to_owned(),
        bytes,
        data_of: data_of.map(str::to_owned),
    }
}

#[test]
fn deleted_files_weigh_by_how_short_the_disk_is() {
    let claims = |available: u64, bytes: u64| {
        let depth = Depth { deleted: vec![deleted(bytes, None)], ..Depth::default() };
        let told = of(HostReading { disks: vec![disk(available)], ..with(depth) });
        told.into_iter().filter(|c| c.rule == "deleted-open").map(|c| c.level).collect::<Vec<_>>()
    };
    assert_eq!(claims(50 * GIB, GIB), [], "one in a hundred of a disk with room");
    assert_eq!(claims(50 * GIB, 10 * GIB), [Level::Note]);
    assert_eq!(claims(8 * GIB, 2 * GIB), [Level::Warning]);
    assert_eq!(claims(0, 2 * GIB), [Level::Critical]);
    assert_eq!(claims(0, GIB / 2), [], "it is not why the disk is full");
}

#[test]
fn what_is_not_seen_without_root_is_said() {
    let depth = Depth { deleted: vec![deleted(20 * GIB, None)], hidden_processes: 40, ..Depth::default() };
    let told = of(HostReading { disks: vec![disk(0)], ..with(depth) });
    let claim = told.iter().find(|c| c.rule == "deleted-open").unwrap();
    assert!(claim.evidence.contains("40 processes can't be looked into without root"), "{}", claim.evidence);
    let queue = Listener { process: None, waiting: 20, waiting_s: 9, ..listener() };
    let told = of(HostReading { listeners: vec![queue], ..host() });
    assert!(told[0].evidence.contains("only as root"), "{}", told[0].evidence);
}

#[test]
fn a_deleted_file_of_the_data_is_suspected() {
    let depth = Depth { deleted: vec![deleted(100, Some("/var/pretix/data"))], ..Depth::default() };
    let told = of(with(depth));
    assert_eq!((told[0].rule, told[0].suspected, told[0].subject.as_str()), ("deleted-data", true, "/var/pretix/data"));
    assert!(told[0].title.starts_with("Suspected: ") && told[0].evidence.contains("/proc/7/fd/3"));
}

#[test]
fn kills_name_their_victim_and_since_when() {
    let kill = |secs: i64, victim: Option<&str>| OomKill {
        at: NOW.plus_secs(-secs),
        count: 1,
        victim: victim.map(str::to_owned),
        group: victim.map(|_| "system.slice/pretix-worker.service".to_owned()),
    };
    let oom = OomKills { recent: vec![kill(60, Some("123 celery")), kill(600, None)], victims_unseen: None };
    let told = of(with(Depth { oom, ..Depth::default() }));
    assert_eq!((told[0].rule, told[0].level), ("oom-kills", Level::Warning));
    assert_eq!(told[0].title, "The kernel killed 123 celery for want of memory");
    assert!(told[0].evidence.contains("pretix-worker.service"), "{}", told[0].evidence);
    assert_eq!(told[0].since.map(|since| since.at), Some(NOW.plus_secs(-600)));
}

fn listener() -> Listener {
    Listener {
        address: "127.0.0.1".to_owned(),
        port: 8345,
        waiting: 0,
        waiting_s: 0,
        process: Some("7 gunicorn".to_owned()),
        stopped: false,
    }
}

#[test]
fn a_queue_is_told_when_it_lasts_and_a_stopped_process_at_once() {
    let told = |waiting, waiting_s, stopped| {
        rules(HostReading { listeners: vec![Listener { waiting, waiting_s, stopped, ..listener() }], ..host() })
    };
    assert_eq!(told(0, 0, false), []);
    assert_eq!(told(30, 2, false), [], "a burst");
    assert_eq!(told(3, 60, false), [], "fewer than workers");
    assert_eq!(told(30, 6, false), [("accept-queue", Level::Warning)]);
    assert_eq!(told(1, 6, true), [("accept-queue", Level::Critical)]);
}

#[test]
fn open_ports_are_notes_by_number_or_by_program() {
    let open = |address: &str, port, process: &str| Listener {
        address: address.to_owned(),
        port,
        process: Some(process.to_owned()),
        ..listener()
    };
    let listeners = vec![
        open("0.0.0.0", 5432, "9 postgres"),
        open("::", 5432, "9 postgres"),
        open("127.0.0.1", 6379, "8 redis-server"),
        open("::", 7000, "8 redis-server"),
        open("0.0.0.0", 443, "5 nginx"),
        open("0.0.0.0", 2375, "4 dockerd"),
    ];
    let told: Vec<_> = of(HostReading { listeners, ..host() }).into_iter().map(|c| (c.subject, c.level)).collect();
    let expected = [("5432", Level::Note), ("7000", Level::Note), ("2375", Level::Warning)];
    assert_eq!(told, expected.map(|(port, level)| (port.to_owned(), level)));
}

#[test]
fn names_and_clocks_are_judged_twice_before_they_are_told() {
    let lookup = |result: Result<u32, &str>, failures, slow, took_ms| Lookup {
        name: "db1".to_owned(),
        used_for: "database of shop".to_owned(),
        result: result.map_err(str::to_owned),
        took_ms,
        failures,
        slow,
        failing_since: (failures > 0).then_some(NOW),
    };
    let told = |lookup| rules(with(Depth { lookups: vec![lookup], ..Depth::default() }));
    assert_eq!(told(lookup(Ok(1), 0, 0, 3)), []);
    assert_eq!(told(lookup(Err("no such name"), 1, 0, 3)), []);
    assert_eq!(told(lookup(Err("no such name"), 2, 0, 3)), [("dns-fails", Level::Critical)]);
    assert_eq!(told(lookup(Ok(1), 0, 1, 4_000)), []);
    assert_eq!(told(lookup(Ok(1), 0, 2, 4_000)), [("dns-slow", Level::Warning)]);
    let clock =
        |synchronised| rules(with(Depth { clock: Clock { synchronised, ..Clock::default() }, ..Depth::default() }));
    assert_eq!((clock(Some(true)), clock(None)), (vec![], vec![]));
    assert_eq!(clock(Some(false)), [("clock-unsynchronised", Level::Note)]);
}

#[test]
fn pressure_is_told_when_it_lasts() {
    let told = |minute: Minute, load: f64| {
        let pressure = Some(Pressure { minute, ..Pressure::default() });
        rules(HostReading { pressure, load: Some([load; 3]), ..host() })
    };
    let none = Minute::default();
    assert_eq!(told(Minute { memory: 0.9, cpu: 0.95, cpu_5: 0.4, io_full: 0.9, ..none }, 1.0), []);
    assert_eq!(told(Minute { memory_full: 0.2, ..none }, 1.0), [("pressure", Level::Warning)]);
    assert_eq!(told(Minute { memory_full: 0.5, ..none }, 1.0), [("pressure", Level::Critical)]);
    assert_eq!(told(Minute { io_full: 0.7, io_full_5: 0.7, ..none }, 1.0), [("pressure", Level::Warning)]);
    let cpu = Minute { cpu: 0.95, cpu_5: 0.95, ..none };
    assert_eq!((told(cpu, 3.0), told(cpu, 9.0)), (vec![("pressure", Level::Note)], vec![("pressure", Level::Warning)]));
}

#[test]
fn what_is_running_out_is_told_before_it_is_gone() {
    let filling = |available: u64, secs| HostReading { memory_available: available, memory_gone_in_s: secs, ..host() };
    assert_eq!(rules(filling(3 * GIB, Some(1_800))), [("memory-filling", Level::Warning)]);
    assert_eq!(rules(filling(6 * GIB, Some(1_800))), [], "most of it is free");
    assert_eq!(rules(filling(3 * GIB, Some(9_000))), []);
    assert_eq!(rules(filling(GIB / 2, Some(1_800))), [("memory-short", Level::Warning)]);
    let mut short = disk(50 * GIB);
    if let Ok(space) = &mut short.space {
        (space.inodes_available, space.inodes_full_in_s) = (300, Some(3_600));
    }
    assert_eq!(rules(HostReading { disks: vec![short], ..host() }), [("inodes-filling", Level::Warning)]);
}

#[test]
fn a_disk_that_turned_read_only_and_one_that_has_not_answered_yet() {
    let turned = Disk { turned_read_only: Some("it was writable before".to_owned()), ..disk(50 * GIB) };
    assert_eq!(rules(HostReading { disks: vec![turned], ..host() }), [("disk-read-only", Level::Critical)]);
    let slow = |why: &str| Disk { space: Err(why.to_owned()), ..disk(0) };
    assert_eq!(rules(HostReading { disks: vec![slow("statvfs has not answered yet")], ..host() }), []);
    let hung = slow("statvfs has not answered for 9 s");
    assert_eq!(rules(HostReading { disks: vec![hung], ..host() }), [("mount-hangs", Level::Critical)]);
}

#[test]
fn loss_is_told_from_a_twentieth_on() {
    assert_eq!(rules(HostReading { retransmitted: Some(0.02), ..host() }), []);
    assert_eq!(rules(HostReading { retransmitted: Some(0.2), ..host() }), [("network-loss", Level::Warning)]);
}
