//! Faults of the machine, made for real.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use midwatch::app::model::Model;
use midwatch::triage::Finding;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::support::eyes::{Eyes, holds};
use crate::support::nginx::Nginx;
use crate::support::servers::{eventually, free_port};
use crate::support::web::Answering;

/// The host is one: its faults are made one after the other.
static HOST: Mutex<()> = Mutex::const_new(());

const ALONE: &str = "discover = false\n[pace]\nhost = \"1s\"\nhealth = \"1s\"\n";

async fn turn() -> MutexGuard<'static, ()> {
    HOST.lock().await
}

fn host_of(model: &Model) -> String {
    model.hosts.first().unwrap().id.0.clone()
}

/// The first finding of the host, past those of other tests that run beside this one: their small file systems.
fn top<'m>(model: &'m Model, subject: &str) -> Option<&'m Finding> {
    let host = host_of(model);
    let others = |f: &&Finding| f.subject == subject || !f.subject.contains("/midwatch-");
    model.findings.iter().filter(|f| f.site == host).find(others)
}

async fn top_of_host(eyes: &mut Eyes, subject: &str, rule: &str) -> Finding {
    let is = |m: &Model| top(m, subject).is_some_and(|f| f.rule == rule && f.subject == subject);
    eyes.until(&format!("{rule} of {subject} is the host's top finding"), is).await;
    top(&eyes.model, subject).unwrap().clone()
}

async fn gone(eyes: &mut Eyes, subject: &str, rule: &str) {
    let about = |f: &Finding| f.rule == rule && f.subject == subject;
    let is = |m: &Model| !m.findings.iter().any(|f| about(f) || f.symptoms.iter().any(about));
    eyes.until(&format!("{rule} of {subject} is gone"), is).await;
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

/// A small file system of its own, gone with its guard. Only root may have one.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn new(options: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-disk-").tempdir().unwrap();
        run("mount", &["-t", "tmpfs", "-o", options, "midwatch", dir.path().to_str().unwrap()]);
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn mount(&self) -> String {
        self.path().canonicalize().unwrap().display().to_string()
    }

    fn remount(&self, how: &str) {
        run("mount", &["-o", &format!("remount,{how}"), self.path().to_str().unwrap()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.dir.path().to_str().unwrap()]);
    }
}

/// A program that is ended with its guard, stopped or not.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Stopped, and seen to be: what is sent is not yet obeyed, and a server that waits in accept may take one more.
    fn stopped(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.0.id());
        let is = || fs::read_to_string(&stat).unwrap().rsplit(") ").next()?.starts_with('T').then_some(());
        eventually("it is stopped", is);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = kill_process(Pid::from_child(&self.0), Signal::KILL);
        drop(self.0.wait());
    }
}

/// Holds a file open, as a daemon that was not told of a rotation does.
fn holding(path: &Path) -> Running {
    let file = File::open(path).unwrap();
    Running(Command::new("sleep").arg("600").stdin(file).stdout(Stdio::null()).spawn().unwrap())
}

fn fill(path: &Path, bytes: usize) {
    let mut file = File::create(path).unwrap();
    let block = vec![7_u8; 64 * 1024];
    for _ in 0..bytes / block.len() {
        if file.write_all(&block).is_err() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_deleted_log_that_is_still_open_is_why_the_disk_is_full_as_root() {
    let _turn = turn().await;
    let (dir, disk) = (TempDir::new().unwrap(), SmallDisk::new("size=64m"));
    let log = disk.path().join("pretix.log");
    fill(&log, 63 << 20);
    let holder = holding(&log);
    fs::remove_file(&log).unwrap();
    let mut eyes = Eyes::open(dir.path(), ALONE);
    let finding = top_of_host(&mut eyes, &disk.mount(), "deleted-open").await;
    assert!(finding.title.contains("sleep 600") && finding.evidence.contains("pretix.log"), "{finding:?}");
    assert!(finding.evidence.contains(&format!("pid {} fd 0", holder.0.id())), "{finding:?}");
    assert!(finding.symptoms.iter().any(|f| f.rule == "disk-full"), "{finding:?}");
    drop(holder);
    gone(&mut eyes, &disk.mount(), "deleted-open").await;
    gone(&mut eyes, &disk.mount(), "disk-full").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_full_disk_is_the_hosts_top_finding_as_root() {
    let _turn = turn().await;
    let (dir, disk) = (TempDir::new().unwrap(), SmallDisk::new("size=16m"));
    let big = disk.path().join("dump.partial");
    fill(&big, 32 << 20);
    let mut eyes = Eyes::open(dir.path(), ALONE);
    let finding = top_of_host(&mut eyes, &disk.mount(), "disk-full").await;
    assert!(finding.title.ends_with("is full"), "{finding:?}");
    fs::remove_file(big).unwrap();
    gone(&mut eyes, &disk.mount(), "disk-full").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_without_inodes_is_told_from_a_full_one_as_root() {
    let _turn = turn().await;
    let (dir, disk) = (TempDir::new().unwrap(), SmallDisk::new("size=64m,nr_inodes=200"));
    let sessions: Vec<PathBuf> = (0..250).map(|n| disk.path().join(format!("session-{n}"))).collect();
    for session in &sessions {
        if File::create(session).is_err() {
            break;
        }
    }
    let mut eyes = Eyes::open(dir.path(), ALONE);
    let finding = top_of_host(&mut eyes, &disk.mount(), "inodes-full").await;
    assert!(finding.title.contains("0 file slots"), "{finding:?}");
    assert!(!eyes.model.findings.iter().any(|f| f.rule == "disk-full" && f.subject == disk.mount()));
    for session in sessions {
        fs::remove_file(session).ok();
    }
    gone(&mut eyes, &disk.mount(), "inodes-full").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a file system"]
async fn a_disk_that_turns_read_only_is_told_as_root() {
    let _turn = turn().await;
    let (dir, disk) = (TempDir::new().unwrap(), SmallDisk::new("size=16m"));
    // One that somebody made read-only before anybody watched is an image.
    let image = SmallDisk::new("size=1m");
    image.remount("ro");
    let mut eyes = Eyes::open(dir.path(), ALONE);
    let seen = |m: &Model, mount: &str| {
        m.hosts.first().and_then(|h| h.reading.fresh()).is_some_and(|r| r.disks.iter().any(|d| d.mount == mount))
    };
    eyes.until("the disk is seen", |m| seen(m, &disk.mount())).await;
    assert!(!seen(&eyes.model, &image.mount()));
    disk.remount("ro");
    let finding = top_of_host(&mut eyes, &disk.mount(), "disk-read-only").await;
    assert!(finding.evidence.contains("writable before"), "{finding:?}");
    disk.remount("rw");
    gone(&mut eyes, &disk.mount(), "disk-read-only").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_of_the_data_is_told_with_the_way_to_copy_it_out() {
    let _turn = turn().await;
    let dir = TempDir::new().unwrap();
    let database = dir.path().join("midwatch-data.sqlite3");
    fs::write(&database, "the old content").unwrap();
    let web = Answering::ok();
    let config =
        format!("{ALONE}[sites.shop]\nurl = \"{}\"\ndatabase = \"sqlite://{}\"\n", web.url(), database.display());
    let holder = holding(&database);
    // Overwritten by a rename, as `mv` does it (pretix, 2020-11-28).
    let other = dir.path().join("other");
    fs::write(&other, "another file").unwrap();
    fs::rename(&other, &database).unwrap();
    let mut eyes = Eyes::open(dir.path(), &config);
    let subject = database.display().to_string();
    eyes.until("it is told", |m| m.findings.iter().any(|f| f.rule == "deleted-data")).await;
    let finding = eyes.model.findings.iter().find(|f| f.rule == "deleted-data").unwrap().clone();
    assert!(finding.suspected && finding.subject == subject, "{finding:?}");
    let kept = format!("/proc/{}/fd/0", holder.0.id());
    assert!(finding.evidence.contains(&kept), "{finding:?}");
    assert_eq!(fs::read_to_string(kept).unwrap(), "the old content");
    drop(holder);
    gone(&mut eyes, &subject, "deleted-data").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_nobody_accepts_are_told_with_who_is_stopped() {
    let _turn = turn().await;
    let dir = TempDir::new().unwrap();
    let port = free_port();
    let program = "import socket,sys\ns=socket.create_server(('127.0.0.1',int(sys.argv[1])),backlog=64)\n\
                   while True:\n c,_=s.accept()\n c.recv(4096)\n c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nok')\n c.close()\n";
    let server = Running(Command::new("python3").args(["-c", program, &port.to_string()]).spawn().unwrap());
    eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    let mut eyes = Eyes::open(dir.path(), ALONE);
    server.stopped();
    let waiting: Vec<TcpStream> = (0..15).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let subject = format!("127.0.0.1:{port}");
    let finding = top_of_host(&mut eyes, &subject, "accept-queue").await;
    let told = |m: &Model| top(m, &subject).is_some_and(|f| f.title.contains("is stopped (SIGSTOP)"));
    eyes.until("who is stopped is named", told).await;
    assert!(finding.title.contains("15 connections wait"), "{finding:?}");
    server.signal(Signal::CONT);
    drop(waiting);
    gone(&mut eyes, &subject, "accept-queue").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_resolve_is_told() {
    let _turn = turn().await;
    let dir = TempDir::new().unwrap();
    let web = Answering::ok();
    let name = "midwatch-db.invalid";
    let config = |host: &str| {
        format!("{ALONE}[sites.shop]\nurl = \"{}\"\ndatabase = \"postgresql://app@{host}:1/app\"\n", web.url())
    };
    let mut eyes = Eyes::open(dir.path(), &config(name));
    let finding = top_of_host(&mut eyes, name, "dns-fails").await;
    assert!(finding.evidence.contains("database of shop"), "{finding:?}");
    eyes.end().await;
    // Mended: the name is one that resolves.
    let mut eyes = Eyes::open(dir.path(), &config("localhost.localdomain"));
    let looked = |m: &Model| m.hosts.first().and_then(|h| h.reading.fresh()).is_some_and(|r| r.depth.is_some());
    eyes.until("it is looked at", looked).await;
    assert!(!eyes.model.findings.iter().any(|f| holds(f, "dns-fails") && f.subject == name));
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_differs_is_suspected() {
    let dir = TempDir::new().unwrap();
    let web = Answering::ok();
    let dated = |secs: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(secs);
        let at = at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT");
        format!("HTTP/1.1 200 OK\r\ndate: {at}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
    };
    web.say(&dated(420));
    let mut eyes = Eyes::open(dir.path(), &format!("{ALONE}[sites.shop]\nurl = \"{}\"\n", web.url()));
    let finding = eyes.top("shop", "clock-wrong").await;
    assert!(finding.suspected && finding.title.contains("behind the web server"), "{finding:?}");
    // Its clock was set: from here on every answer has the time of now.
    let right = tokio::spawn(async move {
        loop {
            web.say(&dated(0));
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    eyes.gone("shop", "clock-wrong").await;
    right.abort();
    eyes.end().await;
}

/// A certificate for 127.0.0.1 within these years, and its key, as PEM.
fn certificate(from: i32, until: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "tickets");
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn install(dir: &Path, (certificate, key): (String, String)) {
    fs::write(dir.join("fullchain.pem"), certificate).unwrap();
    fs::write(dir.join("privkey.pem"), key).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn a_renewed_certificate_that_was_not_loaded_is_told_from_an_expired_one() {
    let (dir, certificates) =
        (TempDir::new().unwrap(), tempfile::Builder::new().prefix("midwatch-nginx-").tempdir().unwrap());
    install(certificates.path(), certificate(2020, 2021));
    let nginx = Nginx::within(
        certificates,
        "  ssl_certificate {dir}/fullchain.pem;\n  ssl_certificate_key {dir}/privkey.pem;\n",
    );
    let url = format!("https://127.0.0.1:{}", nginx.port());
    let mut eyes = Eyes::open(dir.path(), &format!("{ALONE}[sites.shop]\nurl = \"{url}\"\n"));
    let expired = eyes.top("shop", "certificate").await;
    assert!(expired.title.contains("expired"), "{expired:?}");
    install(nginx.path(), certificate(2025, 2099));
    let finding = eyes.top("shop", "certificate-not-loaded").await;
    assert!(finding.evidence.contains("reload nginx") && finding.title.ends_with("has expired"), "{finding:?}");
    assert!(finding.symptoms.iter().any(|f| f.rule == "certificate"), "{finding:?}");
    nginx.reload();
    eyes.gone("shop", "certificate-not-loaded").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_port_on_all_addresses_is_a_note() {
    let _turn = turn().await;
    let dir = TempDir::new().unwrap();
    let Some(listener) =
        [11_211, 27_017, 26_379].into_iter().find_map(|port| TcpListener::bind(("0.0.0.0", port)).ok())
    else {
        panic!("none of the ports is free");
    };
    let subject = listener.local_addr().unwrap().port().to_string();
    let mut eyes = Eyes::open(dir.path(), ALONE);
    let about = |f: &Finding| f.rule == "port-open" && f.subject == subject;
    eyes.until("it is noted", |m| m.findings.iter().any(about)).await;
    let finding = eyes.model.findings.iter().find(|f| about(f)).unwrap();
    assert_eq!(finding.level, midwatch::domain::level::Level::Note);
    drop(listener);
    gone(&mut eyes, &subject, "port-open").await;
    eyes.end().await;
}
