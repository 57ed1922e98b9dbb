//! Inputs that the fuzzer found worth keeping: each reaches code that no other one does.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where `cargo fuzz` keeps them.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/packet")
}

/// Every input with its file's name, in the order of names.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn inputs() -> io::Result<Vec<(String, Vec<u8>)>> {
    inputs_of(&folder())
}

/// Likewise those of sequences of events.
///
/// # Errors
///
/// As [`inputs`].
pub fn sequences() -> io::Result<Vec<(String, Vec<u8>)>> {
    inputs_of(&sequence_folder())
}

/// Where `cargo fuzz` keeps those.
pub fn sequence_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/sequence")
}

fn inputs_of(folder: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.push((name, fs::read(&path)?));
    }
    inputs.sort();
    Ok(inputs)
}
