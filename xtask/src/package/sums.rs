//! What was made: moved to one place, with sizes and checksums.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::directory;
use crate::project::quietly;
use crate::target::Architecture;

/// The checksums of all that is handed out.
pub(crate) const LIST: &str = "SHA256SUMS";

/// A file beside the packages: those of another architecture have one of their own.
pub(crate) fn name(begin: &str, architecture: Architecture, end: &str) -> String {
    format!("{begin}-{}-{}.{end}", env!("CARGO_PKG_VERSION"), architecture.machine())
}

/// Moves the files to where they are handed out, and writes the checksums of all files of this version there: also
/// of those that were made for another architecture.
pub(crate) fn publish(files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut published = Vec::new();
    for file in files {
        let place = directory().join(file.file_name().context("a file has a name")?);
        fs::rename(file, &place).with_context(|| format!("move to {}", place.display()))?;
        published.push(place);
    }
    let mut sums = Command::new("sha256sum");
    sums.current_dir(directory()).args(handed_out(&directory())?);
    let list = directory().join(LIST);
    fs::write(&list, quietly(&mut sums)?).with_context(|| format!("write {}", list.display()))?;
    Ok(published)
}

/// The files of this version in a directory, by their names.
fn handed_out(directory: &Path) -> Result<Vec<String>> {
    let failed = || format!("list {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().with_context(failed)?.is_file();
        names.extend((is_file && is_of_this_version(&name)).then_some(name));
    }
    names.sort();
    Ok(names)
}

/// As `prroute_0.1.0-1_amd64.deb` is, and `prroute-0.1.0-x86_64.cdx.json`.
fn is_of_this_version(name: &str) -> bool {
    let is_version = |rest: &str| {
        let rest = rest.strip_prefix(env!("CARGO_PKG_VERSION"));
        rest.is_some_and(|rest| rest.starts_with(['-', '.']))
    };
    name.match_indices(['-', '_']).any(|(at, _)| is_version(&name[at + 1..]))
}

/// A line that says how large a file is.
pub(crate) fn size(what: &str, file: &Path) -> Result<String> {
    let bytes = fs::metadata(file).with_context(|| format!("look at {}", file.display()))?.len();
    Ok(format!("{bytes:>10} bytes  {what}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use clap::ValueEnum as _;

    use super::{handed_out, name};
    use crate::target::Architecture;

    #[test]
    fn no_architecture_takes_the_name_of_another() {
        let all = Architecture::value_variants();
        let names: BTreeSet<String> = all.iter().map(|&it| name("prroute", it, "txt")).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn the_checksums_are_of_all_files_of_this_version_and_of_no_other() {
        let directory = std::env::temp_dir().join(format!("prroute-sums-{}", std::process::id()));
        let version = env!("CARGO_PKG_VERSION");
        let ours = [
            format!("THIRD-PARTY-{version}-aarch64.txt"),
            format!("prroute-{version}-1.x86_64.rpm"),
            format!("prroute-ebpf-{version}.cdx.json"),
            format!("prroute_{version}-1_amd64.deb"),
        ];
        fs::create_dir_all(directory.join(format!("prroute-{version}-x86_64"))).unwrap();
        let others =
            [format!("prroute-1{version}-1.x86_64.rpm"), format!("prroute_{version}1-1.deb")];
        for name in ours.iter().chain(&others).chain(&["SHA256SUMS".to_owned()]) {
            fs::write(directory.join(name), "").unwrap();
        }
        assert_eq!(handed_out(&directory).unwrap(), ours);
        fs::remove_dir_all(&directory).unwrap();
    }
}
