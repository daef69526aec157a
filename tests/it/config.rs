//! Configuration and discovery against trees of files made for each case, and the program's own `config` and `doctor`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't set its scene has to fail")]

mod discovery;
mod file;
mod layers;
mod logs;
mod program;
mod secrets;
mod settings;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use midwatch::config::load::{Request, load};
use midwatch::config::report::ConfigError;
use midwatch::config::{Config, Found, SiteConfig, Trace};
use midwatch::discovery::{Discovery, Surroundings, discover};
use tempfile::TempDir;

/// A machine of its own: a tree of files, an environment, a home, a working directory.
struct Machine {
    dir: TempDir,
    around: Surroundings,
}

impl Machine {
    /// An empty one, with the operator at `/home/op` and the working directory `/srv`.
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let around = Surroundings {
            root: dir.path().to_owned(),
            home: Some(PathBuf::from("/home/op")),
            cwd: PathBuf::from("/srv"),
            ..Surroundings::default()
        };
        let machine = Self { dir, around };
        for path in ["/home/op", "/srv", "/proc/sys/kernel"] {
            std::fs::create_dir_all(machine.at(path)).unwrap();
        }
        machine.write("/proc/sys/kernel/hostname", "tickets1\n");
        machine
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    /// Puts a file there, directories included.
    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn env(&mut self, name: &str, value: &str) {
        self.around.env.insert(name.to_owned(), value.to_owned());
    }

    /// A running process; without an environment it is somebody else's.
    fn process(&self, pid: u32, words: &[&str], env: Option<&[(&str, &str)]>) {
        let proc = format!("/proc/{pid}");
        self.write(&format!("{proc}/cmdline"), words.iter().flat_map(|w| [w, "\0"]).collect::<String>());
        if let Some(env) = env {
            let text: String = env.iter().fold(String::new(), |all, (k, v)| all + k + "=" + v + "\0");
            self.write(&format!("{proc}/environ"), text);
            symlink("/var/pretix", self.at(&proc).join("cwd")).unwrap();
        }
    }

    fn discover(&self) -> Discovery {
        discover(&self.around, None)
    }

    /// Loads with this text as the file that was named.
    fn load(&self, text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
        self.write("/srv/midwatch.toml", text);
        let request = Request { config: Some("midwatch.toml".into()), ..Request::default() };
        load(&request, &self.around)
    }

    /// The report on a file that has mistakes.
    fn report(text: impl AsRef<[u8]>) -> String {
        match Self::new().load(text) {
            Ok(config) => panic!("the file was taken: {config:?}"),
            Err(error) => error.to_string(),
        }
    }
}

/// The only site there is.
fn only(sites: &[SiteConfig]) -> &SiteConfig {
    match sites {
        [site] => site,
        several => panic!("not one site: {several:?}"),
    }
}

/// What came of everything that was looked for under this name.
fn outcomes<'a>(trail: &'a [Trace], what: &str) -> Vec<&'a Found> {
    trail.iter().filter(|t| t.what == what).map(|t| &t.outcome).collect()
}

/// The sentence of the only broken thing of this name.
fn broken<'a>(trail: &'a [Trace], what: &str) -> &'a str {
    match outcomes(trail, what).as_slice() {
        [Found::Broken(why)] => why,
        other => panic!("{what} is not broken: {other:?}"),
    }
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}
