//! A real nginx in a directory of its own, before an application on another port; it ends with its guard.
#![cfg(test)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::servers::{eventually, free_port};
use super::web::Answering;

/// Serves `/static/` from `static/` in its directory, answers `/healthcheck/` itself, and asks the application for the rest.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    behind: u16,
    dir: TempDir,
}

impl Nginx {
    /// Starts one over http.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// Starts one with more directives in its server; `{dir}` is its directory. `ssl` in them makes it speak TLS.
    pub(crate) fn with(more: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-nginx-").tempdir().unwrap();
        Self::within(dir, more)
    }

    /// The same in a directory that holds something already.
    pub(crate) fn within(dir: TempDir, more: &str) -> Self {
        let (port, behind) = (free_port(), free_port());
        let place = dir.path().display().to_string();
        fs::create_dir(dir.path().join("static")).unwrap();
        fs::write(dir.path().join("static/app.css"), "body {}\n").unwrap();
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let tls = if more.contains("ssl_certificate") { " ssl" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("  {name}_temp_path {place}/{name};\n"))
            .concat();
        let config = format!(
            "{user}worker_processes 1;\npid {place}/nginx.pid;\nerror_log {place}/error.log;\nevents {{}}\nhttp {{\n{temporary}\
             \x20 log_format timed '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent '\n\
             \x20   '\"$http_referer\" \"$http_user_agent\" $request_time';\n\
             \x20 include {place}/sites/*.conf;\n}}\n"
        );
        let server = format!(
            "server {{\n  listen 127.0.0.1:{port}{tls};\n  server_name midwatch-test.invalid 127.0.0.1;\n  access_log {place}/access-{port}.log timed;\n{}\n\
             \x20 location = /healthcheck/ {{ return 200 'ok'; }}\n  location /static/ {{ alias {place}/static/; }}\n\
             \x20 location / {{ proxy_pass http://127.0.0.1:{behind}; }}\n}}\n",
            more.replace("{dir}", &place)
        );
        fs::create_dir(dir.path().join("sites")).unwrap();
        fs::write(dir.path().join("sites/shop.conf"), server).unwrap();
        let file = dir.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let child = Command::new("nginx")
            .args(["-c", file.to_str().unwrap(), "-g", "daemon off;"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { child, port, behind, dir };
        eventually("nginx listens", || TcpStream::connect(("127.0.0.1", nginx.port)).ok());
        nginx
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Its address over http.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the application behind it.
    pub(crate) fn application(&self) -> Answering {
        Answering::at(self.behind)
    }

    /// One request over http; the status.
    pub(crate) fn ask(&self, path: &str) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Has it read its configuration and its certificates again.
    pub(crate) fn reload(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        drop(self.child.wait());
    }
}
