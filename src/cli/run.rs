//! From the command line to an exit code.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use color_eyre::eyre::WrapErr;

use super::args::{Cli, Command, ConfigCommand, DemoPart, Form, Global, StatusArgs};
use crate::config::Config;
use crate::hands::exchange::Marks;

use crate::watch::{self, Watch};

/// A wrong call of a command that checks something: the Monitoring Plugins' "unknown".
pub(super) const USAGE_OF_A_CHECK: u8 = 3;
/// A wrong call of any other command (`EX_USAGE`).
pub(super) const USAGE: u8 = 64;
/// A configuration that can't be used (`EX_CONFIG`).
const BAD_CONFIG: u8 = 78;
/// midwatch itself failed (`EX_SOFTWARE`).
const FAILED: u8 = 70;

/// Runs midwatch with these arguments, the program's name first. Everything it has to say is said here.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let check = args.iter().skip(1).filter_map(|a| a.to_str()).any(Command::is_check);
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            error.print().ok();
            return ExitCode::from(match (wrong, check) {
                (false, _) => 0,
                (true, true) => USAGE_OF_A_CHECK,
                (true, false) => USAGE,
            });
        }
    };
    match dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say_error(&format!("midwatch: {error:#}"));
            ExitCode::from(if check { USAGE_OF_A_CHECK } else { FAILED })
        }
    }
}

fn exchange(args: &super::args::ExchangeArgs) -> color_eyre::Result<u8> {
    let (with, without) = (args.with.as_deref(), args.without.as_deref());
    let marks = Marks { mark: &args.mark, before: &args.before, with, without };
    told(crate::hands::exchange::exchange(&args.live, &args.beside, marks))
}

/// What a part of a step says of itself.
fn told(done: Result<&str, String>) -> color_eyre::Result<u8> {
    match done {
        Ok(how) => say(format!("{how}\n").as_bytes()),
        Err(why) => {
            say_error(&format!("midwatch: {why}"));
            Ok(FAILED)
        }
    }
}

fn dispatch(cli: Cli) -> color_eyre::Result<u8> {
    // First of all, for it becomes another program: it must find the process as that expects it.
    if let Some(Command::Shim(args)) = &cli.command {
        let (code, why) =
            crate::hands::shim::become_program(&args.record, args.leaves, args.input.as_deref(), &args.argv);
        say_error(&format!("midwatch: {why}"));
        return Ok(code);
    }
    if let Some(Command::Alike(args)) = &cli.command {
        return told(Err(crate::hands::releases::become_alike(args.pid, &args.argv)));
    }
    crate::runtime::panic::install()?;
    // Both TLS users (HTTP and Redis) take the process-wide provider; a second installation changes nothing.
    rustls::crypto::ring::default_provider().install_default().ok();
    match cli.command {
        Some(Command::Completions { shell }) => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "midwatch", &mut out);
            say(&out)
        }
        Some(Command::Man) => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut out)?;
            say(&out)
        }
        Some(Command::Backups(args)) => super::backups::backups(&cli.global, &args),
        Some(Command::Runbook(command)) => super::runbook::runbook(&cli.global, command),
        Some(Command::Rules { id, output }) => match super::rules::print(id.as_deref(), output) {
            Ok(text) => say(text.as_bytes()),
            Err(complaint) => {
                say_error(&format!("midwatch: {complaint}"));
                Ok(USAGE)
            }
        },
        Some(Command::Config(command)) => configuration(&cli.global, command),
        Some(Command::Demo(args)) => match args.part {
            Some(part) => demo_part(part),
            None => super::demo::demo(&cli.global, args.fault, args.headless),
        },
        Some(Command::Doctor { output }) => with_config(&cli.global, USAGE_OF_A_CHECK, |config, sandbox| {
            let config = Arc::new(config);
            let runtime = runtime()?;
            let model = runtime.block_on(crate::watch::survey::survey(&config, SURVEY));
            let report = super::doctor::doctor(&config, &model, &sandbox, output == Form::Json);
            let (text, code) = runtime.block_on(report);
            runtime.shutdown_timeout(SHUTDOWN);
            say(text.as_bytes())?;
            Ok(code)
        }),
        Some(Command::Status(args)) => status(&cli.global, &args),
        Some(Command::Check(args)) => with_config(&cli.global, USAGE_OF_A_CHECK, |config, _| {
            let runtime = runtime()?;
            let code = runtime.block_on(super::check::run(Arc::new(config), &args));
            runtime.shutdown_timeout(SHUTDOWN);
            code
        }),
        Some(Command::Report(args)) => with_config(&cli.global, BAD_CONFIG, |config, _| {
            let runtime = runtime()?;
            let code = runtime.block_on(super::report::run(&config, &args));
            runtime.shutdown_timeout(SHUTDOWN);
            code
        }),
        Some(Command::Record) => with_config(&cli.global, BAD_CONFIG, |config, _| record(config)),
        Some(Command::Shim(_) | Command::Alike(_)) => Ok(FAILED),
        Some(Command::Exchange(args)) => exchange(&args),
        Some(Command::Point(args)) => told(crate::hands::releases::point(&args.link, &args.to, &args.from)),
        Some(Command::Runner) => super::runbook::runner(&cli.global),
        Some(Command::Tui) => tui(&cli.global),
        None if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() => tui(&cli.global),
        None => status(&cli.global, &StatusArgs::default()),
    }
}

/// Loads the configuration, puts the process into its sandbox if it shall only look, and goes on.
///
/// The order matters: discovery and the state directory come first, for the sandbox would blind the one and forbid the
/// other; threads and the runtime come after, for it binds only what is started later.
pub(super) fn with_config(
    global: &Global,
    unusable: u8,
    then: impl FnOnce(Config, crate::runtime::sandbox::Sandbox) -> color_eyre::Result<u8>,
) -> color_eyre::Result<u8> {
    let config = match super::load(global) {
        Ok(config) => config,
        Err(report) => {
            say_error(report.trim_end());
            return Ok(unusable);
        }
    };
    let state = match &config.state {
        crate::config::StateDir::Directory(dir) => Some(dir.as_path()),
        crate::config::StateDir::Memory(_) => None,
    };
    let sandbox =
        if config.read_only { crate::runtime::sandbox::restrict(state) } else { crate::runtime::sandbox::Sandbox::Off };
    crate::runtime::log::start(state);
    then(config, sandbox)
}

fn configuration(global: &Global, command: ConfigCommand) -> color_eyre::Result<u8> {
    let mut out = Vec::new();
    let code = match command {
        ConfigCommand::Path => super::config::path(&super::request(global), &mut out)?,
        ConfigCommand::Check => super::config::check(&super::request(global), &mut out)?,
        ConfigCommand::Show => super::config::show(&super::request(global), &mut out)?,
        ConfigCommand::Schema => super::config::schema(&mut out)?,
        ConfigCommand::Tmpfiles => {
            out.extend(crate::hands::lock::tmpfiles().into_bytes());
            0
        }
    };
    say(&out)?;
    Ok(code)
}

/// The runtime: two threads, for most of the time is spent waiting.
pub(super) fn runtime() -> color_eyre::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .wrap_err("the runtime could not be started")
}

/// How long `doctor` waits for what it looks at.
const SURVEY: Duration = Duration::from_secs(8);

/// How long threads that still wait for something are waited for at the end.
const SHUTDOWN: Duration = Duration::from_millis(100);

fn tui(global: &Global) -> color_eyre::Result<u8> {
    with_config(global, BAD_CONFIG, |config, _| {
        let runtime = runtime()?;
        let end = runtime.block_on(super::screens::open(Arc::new(config), super::runbook::start::flags(global)));
        runtime.shutdown_timeout(SHUTDOWN);
        Ok(end?.code())
    })
}

fn record(config: Config) -> color_eyre::Result<u8> {
    if let crate::config::StateDir::Memory(why) = &config.state {
        return Err(color_eyre::eyre::eyre!("there is nowhere to record to: {why}"));
    }
    let runtime = runtime()?;
    let end = runtime.block_on(async {
        let config = Arc::new(config);
        let (watch, wires) = Watch::begin(&config);
        let end = crate::runtime::driver::headless(watch::model(&config), wires, |_| true).await;
        watch.end().await;
        end
    });
    runtime.shutdown_timeout(SHUTDOWN);
    // A recorder is ended by a signal; that is its proper end.
    end.map(|_| 0).wrap_err("signals can't be received")
}

fn status(global: &Global, args: &StatusArgs) -> color_eyre::Result<u8> {
    with_config(global, USAGE_OF_A_CHECK, |config, _| {
        let runtime = runtime()?;
        let code = runtime.block_on(super::status::run(Arc::new(config), args));
        runtime.shutdown_timeout(SHUTDOWN);
        code
    })
}

fn demo_part(part: DemoPart) -> color_eyre::Result<u8> {
    use crate::demo::{Ground, releases, services, site, visitors, web, worker};
    let runtime = runtime()?;
    // What only speaks to the site is no part of it, and no process of its own looks after it.
    let asks = matches!(part, DemoPart::Start { .. } | DemoPart::Migrate { .. });
    let ended = runtime.block_on(async {
        tokio::select! {
            () = site::until_orphaned(), if !asks => Ok(0),
            done = async {
                match part {
                    DemoPart::RunWeb { dir } => web::serve(Ground::new(dir)).await,
                    DemoPart::RunWorker { dir } => worker::work(Ground::new(dir)).await,
                    DemoPart::Visitors { dir } => visitors::visit(Ground::new(dir)).await,
                    DemoPart::Migrate { dir } => {
                        let applied = releases::migrate(&Ground::new(dir), std::path::Path::new(".")).await?;
                        say(format!("applied: {}\n", applied.join(", ")).as_bytes()).map(|_| ())
                    }
                    DemoPart::Start { dir, service } => services::start(&Ground::new(dir), service).await,
                }
            } => done.map(|()| 0),
        }
    });
    // The thread that waits for the end of standard input is not waited for.
    runtime.shutdown_background();
    ended
}

/// Writes to standard output; a reader that has gone (`| head`) is no error.
pub(super) fn say(bytes: &[u8]) -> color_eyre::Result<u8> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).wrap_err("standard output can't be written")
        }
        Ok(()) | Err(_) => Ok(0),
    }
}

/// Writes a line to standard error, if that is still there.
pub(super) fn say_error(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}
