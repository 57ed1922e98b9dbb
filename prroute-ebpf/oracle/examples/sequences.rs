//! Writes the fixed sequences and generated ones into a folder, for a fuzzer to start from:
//! `cargo run -p prroute-oracle --example sequences -- FOLDER`.
#![expect(clippy::unwrap_used, reason = "a developer's tool")]

use std::fs;
use std::path::PathBuf;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prroute_oracle::sequence::{encode, faults, generated};

const SEEDS: usize = 300;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    fs::create_dir_all(&folder).unwrap();
    for (number, (name, sequence)) in faults::all().iter().enumerate() {
        fs::write(folder.join(format!("{name}-{number:02}")), encode(sequence)).unwrap();
    }
    let mut runner = TestRunner::deterministic();
    for number in 0..SEEDS {
        let input = generated().new_tree(&mut runner).unwrap().current();
        fs::write(folder.join(format!("seed-{number:03}")), input).unwrap();
    }
}
