//! Programs that cargo installs from crates.io into `.tools`, beside bpf-linker.

use std::fs;

use serde_json::Value;

use super::needs::Scope;
use crate::project;

/// A program of crates.io, in the version that is known to work here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Its features; all that it has by default when `None`.
    features: Option<&'static str>,
    /// Whoever asks for one of these, and nobody else.
    scopes: &'static [Scope],
}

const TOOLS: &[Tool] = &[
    // The guest installs prroute as a Debian package.
    Tool {
        name: "cargo-deb",
        version: "3.8.0",
        features: None,
        scopes: &[Scope::Vm, Scope::Package],
    },
    Tool {
        name: "cargo-generate-rpm",
        version: "0.21.1",
        features: None,
        scopes: &[Scope::Package],
    },
    Tool { name: "cargo-cyclonedx", version: "0.5.9", features: None, scopes: &[Scope::Package] },
    Tool { name: "cargo-deny", version: "0.20.2", features: None, scopes: &[Scope::Package] },
    // Without its web server.
    Tool { name: "mdbook", version: "0.5.4", features: Some("search"), scopes: &[Scope::Book] },
];

impl Tool {
    /// The words behind `cargo` that install it.
    pub(crate) fn install_words(&self) -> Vec<String> {
        let words = ["install", self.name, "--version", self.version, "--locked", "--force"];
        let features = self.features.map(|list| ["--no-default-features", "--features", list]);
        words.iter().chain(features.iter().flatten()).map(|&word| word.to_owned()).collect()
    }
}

/// What `scope` needs and `.tools` lacks.
pub(crate) fn missing(scope: Scope) -> Vec<&'static Tool> {
    let record = fs::read_to_string(project::tools().join(".crates2.json")).unwrap_or_default();
    unmet(scope, &record)
}

/// `record` is cargo's, of the crates that it installed.
fn unmet(scope: Scope, record: &str) -> Vec<&'static Tool> {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let installed: Vec<&String> =
        record["installs"].as_object().into_iter().flatten().map(|(id, _)| id).collect();
    let has = |tool: &Tool| {
        let wanted = format!("{} {} ", tool.name, tool.version);
        installed.iter().any(|id| id.starts_with(&wanted))
    };
    TOOLS.iter().filter(|tool| tool.scopes.contains(&scope) && !has(tool)).collect()
}

#[cfg(test)]
mod tests {
    use super::unmet;
    use crate::setup::needs::Scope;

    #[test]
    fn who_makes_no_package_needs_no_tool() {
        for scope in [Scope::Build, Scope::Demo, Scope::Bench, Scope::Test] {
            assert_eq!(unmet(scope, ""), Vec::new() as Vec<&super::Tool>, "{scope:?}");
        }
        assert_eq!(unmet(Scope::Package, "").len(), 4);
        assert_eq!(unmet(Scope::Book, "").len(), 1);
        assert_eq!(unmet(Scope::Vm, "").len(), 1);
    }

    #[test]
    fn another_version_does_not_count() {
        let record =
            |version| format!(r#"{{"installs":{{"cargo-deb {version} (registry)":{{}}}}}}"#);
        assert_eq!(unmet(Scope::Vm, &record("3.8.0")).len(), 0);
        assert_eq!(unmet(Scope::Vm, &record("3.7.0")).len(), 1);
    }
}
