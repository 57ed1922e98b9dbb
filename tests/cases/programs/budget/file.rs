//! `tests/budget.toml`: figures, and why they are what they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::figures::{Figures, MapSize, ProgramSize};

const HEAD: &str = "\
# What the programs may cost the kernel, with the reason for each figure. `cargo test -p
# prroute-tests --test programs budget` compares, and
#     PRROUTE_WRITE_BUDGET='the reason' cargo test -p prroute-tests --test programs budget
# records what is measured, with this reason where a figure changed.
#
# What the verifier walks and the JIT emits depends on the kernel: its family and machine are part
# of an entry. On a kernel that has none the largest figures count. A guest cannot write here:
#     PRROUTE_WRITE_BUDGET='the reason' cargo xtask vm --kernel 6.1 --case programs::budget
# shows the entries of its kernel. Before Linux 5.16 no kernel tells how much it verified: 0.
#
# headroom: per cent that a program may have above its entry, for another compiler's sake. Maps
# have none.

";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Budget {
    pub(crate) headroom: u32,
    #[serde(default, rename = "program")]
    pub(crate) programs: Vec<ProgramEntry>,
    #[serde(default, rename = "map")]
    pub(crate) maps: Vec<MapEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProgramEntry {
    pub(crate) name: String,
    pub(crate) kernel: KernelFamily,
    #[serde(flatten)]
    pub(crate) size: ProgramSize,
    pub(crate) reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MapEntry {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) size: MapSize,
    pub(crate) reason: String,
}

/// Kernels that treat a program alike: `6.18 x86_64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KernelFamily(pub(crate) String);

impl KernelFamily {
    pub(crate) fn running() -> Result<Self> {
        let name = nix::sys::utsname::uname().context("ask for the kernel's name")?;
        let release = name.release().to_string_lossy();
        let version: Vec<&str> = release.split(['.', '-']).take(2).collect();
        Ok(Self(format!("{} {}", version.join("."), name.machine().to_string_lossy())))
    }
}

pub(crate) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("budget.toml")
}

fn text(value: &impl Serialize) -> Result<String> {
    toml::to_string(value).context("write the budget as TOML")
}

impl Budget {
    pub(crate) fn load() -> Result<Self> {
        let path = path();
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }

    pub(crate) fn save(&self) -> Result<()> {
        let path = path();
        let text = format!("{HEAD}{}", text(self)?);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// The entries of a kernel, as they are in the file.
    pub(crate) fn entries(&self, kernel: &KernelFamily) -> Result<String> {
        let entries = self.programs.iter().filter(|entry| entry.kernel == *kernel);
        text(&BTreeMap::from([("program", entries.collect::<Vec<_>>())]))
    }

    /// Takes over what is measured on this kernel. The figures of other kernels stay, those of
    /// what is no longer there go.
    pub(crate) fn record(&mut self, kernel: &KernelFamily, measured: &Figures, reason: &str) {
        self.programs.retain(|entry| measured.programs.contains_key(&entry.name));
        self.maps.retain(|entry| measured.maps.contains_key(&entry.name));
        for (name, &size) in &measured.programs {
            let is_same =
                |entry: &&mut ProgramEntry| entry.name == *name && entry.kernel == *kernel;
            match self.programs.iter_mut().find(is_same) {
                Some(entry) if entry.size == size => {}
                Some(entry) => (entry.size, entry.reason) = (size, reason.to_owned()),
                None => self.programs.push(ProgramEntry {
                    name: name.clone(),
                    kernel: kernel.clone(),
                    size,
                    reason: reason.to_owned(),
                }),
            }
        }
        for (name, &size) in &measured.maps {
            match self.maps.iter_mut().find(|entry| entry.name == *name) {
                Some(entry) if entry.size == size => {}
                Some(entry) => (entry.size, entry.reason) = (size, reason.to_owned()),
                None => {
                    let reason = reason.to_owned();
                    self.maps.push(MapEntry { name: name.clone(), size, reason });
                }
            }
        }
        self.programs.sort_by(|a, b| (&a.kernel, &a.name).cmp(&(&b.kernel, &b.name)));
        self.maps.sort_by(|a, b| a.name.cmp(&b.name));
    }
}
