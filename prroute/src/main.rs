//! The `prroute` command.

fn main() {}
