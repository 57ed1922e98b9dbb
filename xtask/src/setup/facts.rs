//! What the planner knows of this machine.

use std::{env, fs};

use super::archive::{self, Archive};
use super::crates::{self, Tool};
use super::needs::{self, Need, Scope};
use super::plan;
use super::toolchain::{self, Compiler};
use crate::{project, root};

/// Observed once, cheaply; `archive` only when something is missing.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) root: bool,
    /// e.g. "Debian GNU/Linux 12 (bookworm)".
    pub(crate) system: String,
    /// e.g. "bookworm".
    pub(crate) codename: Option<String>,
    pub(crate) apt: bool,
    pub(crate) rustup: bool,
    pub(crate) missing: Vec<&'static Need>,
    pub(crate) missing_tools: Vec<&'static Tool>,
    /// `PRROUTE_BPF_OBJECT` is set: no BPF object has to be built.
    pub(crate) object_given: bool,
    /// `PRROUTE_BPF_TOOLCHAIN`.
    pub(crate) named_toolchain: Option<String>,
    /// Compilers that can build `core`, the ones the build script prefers first.
    pub(crate) compilers: Vec<Compiler>,
    /// LLVM major that the installed bpf-linker is made for.
    pub(crate) linker: Option<u32>,
    pub(crate) archive: Option<Archive>,
}

impl Facts {
    pub(crate) fn observe(scope: Scope) -> Self {
        let object_given = env::var_os("PRROUTE_BPF_OBJECT").is_some();
        let named_toolchain = env::var("PRROUTE_BPF_TOOLCHAIN").ok();
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let mut facts = Self {
            root: root::is_root(),
            system: value(&os_release, "PRETTY_NAME").unwrap_or_else(|| "this system".to_owned()),
            codename: value(&os_release, "VERSION_CODENAME"),
            apt: project::find_program("apt-get").is_some(),
            missing: needs::missing(scope),
            missing_tools: crates::missing(scope),
            object_given,
            ..Self::default()
        };
        if !object_given {
            let compilers = toolchain::compilers(named_toolchain.as_deref());
            facts.rustup = compilers.is_some();
            facts.compilers = compilers.unwrap_or_default();
            facts.linker = toolchain::linker();
        }
        facts.named_toolchain = named_toolchain;
        facts
    }

    /// Asks apt and dpkg about every package that a plan may name.
    pub(crate) fn ask_archive(&mut self) -> anyhow::Result<()> {
        let packages = plan::every_package(&self.missing);
        self.archive = Some(archive::look_up(&packages)?);
        Ok(())
    }
}

/// The value of a key of os-release(5).
fn value(os_release: &str, key: &str) -> Option<String> {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn the_values_of_os_release_are_read_with_or_without_quotes() {
        let text = "ID=x\nPRETTY_NAME=\"Debian 12\"\nVERSION_CODENAME=bookworm\n";
        assert_eq!(value(text, "PRETTY_NAME").as_deref(), Some("Debian 12"));
        assert_eq!(value(text, "VERSION_CODENAME").as_deref(), Some("bookworm"));
        assert_eq!(value(text, "NAME"), None);
    }
}
