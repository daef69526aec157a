//! midwatch: the terminal an on-call engineer opens when the pager goes off.

use std::process::ExitCode;

fn main() -> ExitCode {
    midwatch::run(std::env::args_os())
}
