//! midwatch: parse, install the error hook, run.

fn main() {}
