//! The shared libraries that a program needs, read from the program itself: tools that ask the machine's loader
//! say nothing of a program for another architecture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::project::quietly;

/// What Debian's libc6 has, with the compiler's library, on which libc6 depends. Loaders have names of their
/// architecture.
const LIBC6: [&str; 3] = ["libc.so.", "libgcc_s.so.", "ld-linux-"];

/// Major and minor version of the C library.
pub(crate) type Version = (u32, u32);

/// Libraries, each with the names of the versions that are asked of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Libraries {
    needed: BTreeMap<String, BTreeSet<String>>,
    /// The loader has to know the newer of the two kinds of hash tables.
    gnu_hash: bool,
}

impl Libraries {
    pub(crate) fn of(program: &Path) -> Result<Self> {
        let mut readelf = Command::new("readelf");
        readelf.env("LC_ALL", "C").args(["--wide", "--dynamic", "--version-info"]).arg(program);
        let found = Self::parse(&String::from_utf8_lossy(&quietly(&mut readelf)?));
        ensure!(!found.needed.is_empty(), "{} needs no library at all", program.display());
        Ok(found)
    }

    /// What readelf prints with `--dynamic` and `--version-info`.
    fn parse(text: &str) -> Self {
        let mut needed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut tags = BTreeSet::new();
        let mut in_needs = false;
        let mut library = None;
        for line in text.lines() {
            if line.contains(" section '") {
                in_needs = line.starts_with("Version needs ");
            } else if let Some((_, name)) = line.split_once("(NEEDED)") {
                let name = name.split_once('[').and_then(|(_, name)| name.split_once(']'));
                needed.entry(name.unwrap_or_default().0.to_owned()).or_default();
            } else if let Some(file) = word_after(line, "File:").filter(|_| in_needs) {
                library = Some(file.to_owned());
            } else if let Some(name) = word_after(line, "Name:").filter(|_| in_needs) {
                let versions = needed.entry(library.clone().unwrap_or_default()).or_default();
                versions.insert(name.to_owned());
            } else if let Some(tag) = line.split_whitespace().nth(1) {
                tags.insert(tag);
            }
        }
        Self { needed, gnu_hash: tags.contains("(GNU_HASH)") && !tags.contains("(HASH)") }
    }

    /// The oldest version of the C library that has all that is asked of it.
    pub(crate) fn glibc(&self) -> Result<Version> {
        let mut newest = None;
        for (library, versions) in &self.needed {
            let known = LIBC6.iter().any(|begin| library.starts_with(begin));
            ensure!(known, "which package has {library} is not known");
            for name in versions.iter().filter_map(|name| name.strip_prefix("GLIBC_")) {
                let version = version(name);
                ensure!(version.is_some(), "GLIBC_{name} of {library} is no version");
                newest = newest.max(version);
            }
        }
        newest.context("no version of the C library is asked for")
    }

    /// As rpm calls what 64-bit libraries provide.
    pub(crate) fn requirements(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (library, versions) in &self.needed {
            all.push(format!("{library}()(64bit)"));
            all.extend(versions.iter().map(|version| format!("{library}({version})(64bit)")));
        }
        all.extend(self.gnu_hash.then(|| "rtld(GNU_HASH)".to_owned()));
        all
    }
}

/// The version of the C library that a Debian package asks for, in its field `Depends`.
pub(crate) fn libc6(depends: &str) -> Option<Version> {
    let (_, version_and_more) = depends.split_once("libc6 (>= ")?;
    version(version_and_more.split_once(')')?.0)
}

/// The first two of the numbers between dots.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn word_after<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(name)?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::{Libraries, libc6};

    /// Of a program for arm64, on amd64.
    const PRINTED: &str = "
Dynamic section at offset 0x1d5e638 contains 29 entries:
  Tag        Type                         Name/Value
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-aarch64.so.1]
 0x000000006ffffef5 (GNU_HASH)           0x17e8
 0x0000000000000000 (NULL)               0x0

Version symbols section '.gnu.version' contains 3 entries:
 Addr: 0x0000000000001514  Offset: 0x00001514  Link: 7 (.dynsym)
  000:   0 (*local*)       2 (GLIBC_2.34)    3 (GCC_3.0)

Version definition section '.gnu.version_d' contains 1 entry:
  000000: Rev: 1  Flags: BASE  Index: 1  Cnt: 1  Name: GLIBC_2.99

Version needs section '.gnu.version_r' contains 3 entries:
 Addr: 0x0000000000001624  Offset: 0x00001624  Link: 8 (.dynstr)
  000000: Version: 1  File: libgcc_s.so.1  Cnt: 2
  0x0010:   Name: GCC_3.0  Flags: none  Version: 4
  0x0020:   Name: GCC_4.2.0  Flags: none  Version: 26
  0x0030: Version: 1  File: libc.so.6  Cnt: 3
  0x0040:   Name: GLIBC_2.2.5  Flags: none  Version: 3
  0x0050:   Name: GLIBC_2.34  Flags: none  Version: 2
  0x0060:   Name: GLIBC_2.9  Flags: WEAK  Version: 14
  0x0070: Version: 1  File: ld-linux-aarch64.so.1  Cnt: 1
  0x0080:   Name: GLIBC_2.17  Flags: none  Version: 6
";

    #[test]
    fn the_oldest_c_library_is_that_of_the_newest_version_that_is_asked_for() {
        assert_eq!(Libraries::parse(PRINTED).glibc().unwrap(), (2, 34));
        let unknown = PRINTED.replace("libgcc_s.so.1", "libelf.so.1");
        let error = Libraries::parse(&unknown).glibc().unwrap_err().to_string();
        assert_eq!(error, "which package has libelf.so.1 is not known");
        let strange = PRINTED.replace("GLIBC_2.34", "GLIBC_PRIVATE");
        assert!(Libraries::parse(&strange).glibc().is_err());
        assert!(Libraries::parse("").glibc().is_err());
    }

    #[test]
    fn rpm_is_told_each_library_and_each_version() {
        let expected = [
            "ld-linux-aarch64.so.1()(64bit)",
            "ld-linux-aarch64.so.1(GLIBC_2.17)(64bit)",
            "libc.so.6()(64bit)",
            "libc.so.6(GLIBC_2.2.5)(64bit)",
            "libc.so.6(GLIBC_2.34)(64bit)",
            "libc.so.6(GLIBC_2.9)(64bit)",
            "libgcc_s.so.1()(64bit)",
            "libgcc_s.so.1(GCC_3.0)(64bit)",
            "libgcc_s.so.1(GCC_4.2.0)(64bit)",
            "rtld(GNU_HASH)",
        ];
        assert_eq!(Libraries::parse(PRINTED).requirements(), expected);
        let both = PRINTED.replace("(NULL)  ", "(HASH)  ");
        assert!(!Libraries::parse(&both).requirements().contains(&"rtld(GNU_HASH)".to_owned()));
    }

    #[test]
    fn readelf_is_asked_in_the_way_that_is_understood() {
        let program = std::env::current_exe().unwrap();
        let found = Libraries::of(&program).unwrap();
        assert!(found.glibc().unwrap() > (2, 2), "{found:?}");
        assert!(found.requirements().contains(&"libc.so.6()(64bit)".to_owned()), "{found:?}");
    }

    /// Not `$auto`, which dpkg-shlibdeps resolves for the architecture of the machine, and nobody where it is
    /// missing.
    #[test]
    fn the_debian_package_names_the_c_library_itself() {
        let manifest = include_str!("../../../prroute/Cargo.toml");
        let depends = manifest.lines().find(|line| line.starts_with("depends = ")).unwrap();
        assert!(libc6(depends) >= Some((2, 34)) && !depends.contains("$auto"), "{depends}");
        assert_eq!(libc6("systemd, libc6 (>= 2.9)"), Some((2, 9)));
        assert_eq!(libc6("libc6, systemd (>= 252)"), None);
    }
}
