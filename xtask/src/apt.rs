//! Other suites of the machine's Debian archive, in apt states of their own: the machine's apt is left
//! as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::project;

/// The release that prroute is built and tested on.
pub(crate) const STABLE: &str = "bookworm";

const SOURCES: &str = "/etc/apt/sources.list";
const SOURCE_PARTS: &str = "/etc/apt/sources.list.d";

/// The files that apt is told to use in the place of its own, or apt's own.
#[derive(Debug, Default)]
pub(crate) struct State {
    options: Vec<String>,
}

impl State {
    /// A state below `target` that knows the archive's `suites`. Each is named with the suite in
    /// whose entry of the machine's sources it takes the place: they share address and key.
    pub(crate) fn make(name: &str, suites: &[(&str, &str)], architecture: &str) -> Result<Self> {
        let state = Self::at(name, architecture)?;
        for (number, (present, wanted)) in suites.iter().enumerate() {
            state.write(&format!("{number}-{wanted}"), &entry_of(present, wanted)?)?;
        }
        Ok(state)
    }

    /// The machine's sources, and beside them the backports of the same archive.
    pub(crate) fn with_backports(codename: &str) -> Result<Self> {
        let state = Self::at("backports", "")?;
        for source in machine_sources()? {
            let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let kind = source.extension().unwrap_or_default().to_string_lossy();
            state.write(&name, &Entry { text: read(&source)?, kind: kind.into_owned() })?;
        }
        let backports = format!("{codename}-backports");
        state.write(&backports, &entry_of(codename, &backports)?)?;
        Ok(state)
    }

    fn at(name: &str, architecture: &str) -> Result<Self> {
        let directory = project::target().join("apt").join(name);
        let parts = directory.join("sources.list.d");
        // What an earlier run wrote for other suites is none of this one's.
        project::remove(&parts)?;
        let lists = directory.join("lists");
        for path in [&parts, &lists.join("partial")] {
            fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        }
        let mut options = vec![
            "--option=Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("--option=Dir::Etc::sourceparts={}", parts.display()),
            format!("--option=Dir::State::lists={}", lists.display()),
            "--option=Dir::Cache::pkgcache=".to_owned(),
            "--option=Dir::Cache::srcpkgcache=".to_owned(),
        ];
        if !architecture.is_empty() {
            options.push(format!("--option=APT::Architecture={architecture}"));
            options.push(format!("--option=APT::Architectures={architecture}"));
        }
        Ok(Self { options })
    }

    /// Adds a file of sources.
    fn write(&self, name: &str, entry: &Entry) -> Result<()> {
        let path = self.sources().join(format!("{name}.{}", entry.kind));
        fs::write(&path, &entry.text).with_context(|| format!("write {}", path.display()))
    }

    /// The directory with its files of sources.
    pub(crate) fn sources(&self) -> PathBuf {
        let prefix = "--option=Dir::Etc::sourceparts=";
        let path = self.options.iter().find_map(|option| option.strip_prefix(prefix));
        PathBuf::from(path.unwrap_or(SOURCE_PARTS))
    }

    /// apt's options for this state: none for the machine's own.
    pub(crate) fn options(&self) -> &[String] {
        &self.options
    }

    /// One of apt's programs, to be told what to do in this state.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        apt.args(&self.options).env("LC_ALL", "C");
        apt
    }
}

/// A file of sources, and how its name ends.
struct Entry {
    text: String,
    kind: String,
}

/// The entry of the machine's sources that has the suite `present`, with `wanted` in its place.
fn entry_of(present: &str, wanted: &str) -> Result<Entry> {
    for source in machine_sources()? {
        if let Some(text) = replaced(&read(&source)?, present, wanted) {
            let kind = source.extension().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Entry { text, kind });
        }
    }
    Err(anyhow!("no source of apt in /etc/apt has the suite {present}"))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
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

/// The first entry of a source file that has the suite `present`, with `wanted` in its place;
/// in the form of the file, which is one line or one paragraph an entry.
fn replaced(text: &str, present: &str, wanted: &str) -> Option<String> {
    for paragraph in text.split("\n\n") {
        let suites = |line: &&str| line.starts_with("Suites:");
        if let Some(line) = paragraph.lines().find(suites) {
            if line.split_whitespace().any(|word| word == present) {
                return Some(paragraph.replace(line, &format!("Suites: {wanted}")) + "\n");
            }
            continue;
        }
        for line in paragraph.lines().filter(|line| line.starts_with("deb ")) {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            if let Some(suite) = words.iter().position(|word| *word == present) {
                words[suite] = wanted;
                return Some(words.join(" ") + "\n");
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_suite_is_taken_from_the_archive_and_with_the_key_of_the_one_in_whose_place_it_stands() {
        let sources = "Types: deb\nURIs: http://x/security\nSuites: bookworm-security\n\
                       Components: main\n\nTypes: deb\nURIs: http://x/debian\n\
                       Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n";
        assert_eq!(
            replaced(sources, "bookworm", "bookworm-backports").as_deref(),
            Some(
                "Types: deb\nURIs: http://x/debian\nSuites: bookworm-backports\n\
                 Components: main\nSigned-By: /k.gpg\n\n"
            )
        );
        let security = replaced(sources, "bookworm-security", "bullseye-security").unwrap();
        assert!(security.contains("URIs: http://x/security\nSuites: bullseye-security"));
        assert_eq!(replaced(sources, "trixie", "trixie-backports"), None);
    }

    #[test]
    fn a_list_of_one_line_entries_is_read_too() {
        let list = "# deb http://old bookworm main\ndeb-src http://x bookworm main\n\
                    deb [signed-by=/k.gpg] http://x/debian bookworm main contrib\n";
        assert_eq!(
            replaced(list, "bookworm", "bullseye").as_deref(),
            Some("deb [signed-by=/k.gpg] http://x/debian bullseye main contrib\n")
        );
    }
}
