//! Writes generated packets into a folder, for a fuzzer to start from:
//! `cargo run -p prroute-oracle --example seeds -- FOLDER`.
#![expect(clippy::unwrap_used, reason = "a developer's tool")]

use std::fs;
use std::path::PathBuf;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prroute_oracle::generate;

const SEEDS: usize = 400;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    fs::create_dir_all(&folder).unwrap();
    let mut runner = TestRunner::deterministic();
    for number in 0..SEEDS {
        let facts = generate::facts().new_tree(&mut runner).unwrap().current();
        let frame = generate::frame().new_tree(&mut runner).unwrap().current().bytes();
        let input = [facts.as_slice(), &frame].concat();
        fs::write(folder.join(format!("seed-{number:03}")), input).unwrap();
    }
}
