//! Debian's backports, in an apt state of their own: the machine's apt is left as it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::project;

const SOURCES: &str = "/etc/apt/sources.list";
const SOURCE_PARTS: &str = "/etc/apt/sources.list.d";

/// Files below `target` that apt is told to use in the place of its own.
#[derive(Debug)]
pub(crate) struct State {
    directory: PathBuf,
    codename: String,
}

impl State {
    /// Writes the machine's sources, and beside them the backports of the same archive.
    pub(crate) fn make(codename: &str) -> Result<Self> {
        let directory = project::target().join("apt");
        let parts = directory.join("sources.list.d");
        for path in [&parts, &directory.join("lists/partial")] {
            fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        }
        let mut archive = None;
        for source in machine_sources()? {
            let text = fs::read_to_string(&source)
                .with_context(|| format!("read {}", source.display()))?;
            let name = source.file_name().unwrap_or_default();
            archive =
                archive.or_else(|| backports_of(&text, codename).map(|t| (name.to_owned(), t)));
            write(&parts.join(name), &text)?;
        }
        let (name, text) = archive
            .ok_or_else(|| anyhow!("no source of apt in /etc/apt has the suite {codename}"))?;
        write(&parts.join(format!("backports-{}", name.to_string_lossy())), &text)?;
        Ok(Self { directory, codename: codename.to_owned() })
    }

    /// apt's options for this state.
    pub(crate) fn options(&self) -> Vec<String> {
        let path = |name: &str| self.directory.join(name).display().to_string();
        vec![
            "--option=Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("--option=Dir::Etc::sourceparts={}", path("sources.list.d")),
            format!("--option=Dir::State::lists={}", path("lists")),
            "--option=Dir::Cache::pkgcache=".to_owned(),
            "--option=Dir::Cache::srcpkgcache=".to_owned(),
        ]
    }

    /// Makes apt prefer the backports for what it is told to install.
    pub(crate) fn release(&self) -> Vec<String> {
        vec![format!("--target-release={}-backports", self.codename)]
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The files that apt reads its sources from (sources.list(5)).
fn machine_sources() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let list = Path::new(SOURCES);
    if list.is_file() {
        files.push(list.to_owned());
    }
    let parts = Path::new(SOURCE_PARTS);
    if parts.is_dir() {
        for entry in fs::read_dir(parts).with_context(|| format!("read {SOURCE_PARTS}"))? {
            let path = entry.with_context(|| format!("read {SOURCE_PARTS}"))?.path();
            if path.extension().is_some_and(|kind| kind == "list" || kind == "sources") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The first entry of a source file that has the suite `codename`, with the backports in its
/// place; in the form of the file, which is one line or one paragraph an entry.
fn backports_of(text: &str, codename: &str) -> Option<String> {
    let backports = format!("{codename}-backports");
    for paragraph in text.split("\n\n") {
        let suites = |line: &&str| line.starts_with("Suites:");
        if let Some(line) = paragraph.lines().find(suites) {
            if line.split_whitespace().any(|word| word == codename) {
                return Some(paragraph.replace(line, &format!("Suites: {backports}")) + "\n");
            }
            continue;
        }
        for line in paragraph.lines().filter(|line| line.starts_with("deb ")) {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            if let Some(suite) = words.iter().position(|word| *word == codename) {
                words[suite] = &backports;
                return Some(words.join(" ") + "\n");
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::backports_of;

    #[test]
    fn the_backports_are_taken_from_the_archive_and_with_the_key_of_the_release() {
        let sources = "Types: deb\nURIs: http://x/security\nSuites: bookworm-security\n\
                       Components: main\n\nTypes: deb\nURIs: http://x/debian\n\
                       Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n";
        assert_eq!(
            backports_of(sources, "bookworm").as_deref(),
            Some(
                "Types: deb\nURIs: http://x/debian\nSuites: bookworm-backports\n\
                 Components: main\nSigned-By: /k.gpg\n\n"
            )
        );
        assert_eq!(backports_of(sources, "trixie"), None);
    }

    #[test]
    fn a_list_of_one_line_entries_is_read_too() {
        let list = "# deb http://old bookworm main\ndeb-src http://x bookworm main\n\
                    deb [signed-by=/k.gpg] http://x/debian bookworm main contrib\n";
        assert_eq!(
            backports_of(list, "bookworm").as_deref(),
            Some("deb [signed-by=/k.gpg] http://x/debian bookworm-backports main contrib\n")
        );
    }
}
