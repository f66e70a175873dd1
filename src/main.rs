//! The program: arguments, settings, run, exit codes.

fn main() {}
