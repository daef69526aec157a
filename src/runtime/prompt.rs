//! Threads that answer a person go before those that look at things.

/// So much more important than everything else: a key costs a millisecond of work, and on a machine whose cores are all
/// taken it waits several for one. Found with `ttybench` under a log that grows by 50 MB/s on two cores.
const NICE: i32 = -10;

/// Lets this thread answer before others work, where the system allows it: to root, and to whom `RLIMIT_NICE` does.
/// Threads it starts inherit that, until they call [`patient`].
pub fn prompt() {
    rustix::process::setpriority_process(None, NICE).ok();
}

/// Takes it back: this thread looks at things, and what it starts must not stand before the applications.
pub fn patient() {
    if rustix::process::getpriority_process(None).is_ok_and(|nice| nice == NICE) {
        rustix::process::setpriority_process(None, 0).ok();
    }
}
