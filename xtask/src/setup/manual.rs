//! What to install by hand where setup cannot do it.

use super::archive::COMPILERS;
use super::facts::Facts;
use super::needs::Scope;
use super::plan::{Blocked, Plan, Step, linker_packages};
use super::toolchain::{LINKED, LINKER_VERSION, SYSTEM_SYSROOT, Version};

/// The commands that do what root would have to do.
pub(crate) fn commands(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let line = match step {
            Step::Install(packages) => {
                let names: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
                format!(
                    "sudo apt-get update\n  sudo apt-get install --no-install-recommends {}",
                    names.join(" ")
                )
            }
            Step::Backport { packages, codename } => {
                let names: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
                format!(
                    "sudo apt-get install --no-install-recommends -t {codename}-backports {}",
                    names.join(" ")
                )
            }
            Step::Link => format!("rustup toolchain link {LINKED} {SYSTEM_SYSROOT}"),
            Step::Linker { llvm } => linker_command(&llvm.to_string()),
            Step::Tool(tool) => format!("cargo {} --root .tools", tool.install_words().join(" ")),
        };
        text.push_str("\n  ");
        text.push_str(&line);
    }
    text
}

fn linker_command(llvm: &str) -> String {
    format!(
        "LLVM_PREFIX=/usr/lib/llvm-{llvm} cargo install bpf-linker --version {LINKER_VERSION} \
         --locked --force --no-default-features --features llvm-{llvm} --root .tools"
    )
}

/// Everything that is missing, for a system that setup does not know.
pub(crate) fn instructions(scope: Scope, facts: &Facts, blocked: &Blocked) -> String {
    let mut text = format!(
        "{} cannot set up {} by itself: {}.\n\nPlease install:\n",
        scope.command(),
        facts.system,
        reason(blocked)
    );
    for need in &facts.missing {
        text.push_str(&format!("  * the program {} (Debian: {})\n", need.program, need.package));
    }
    for tool in &facts.missing_tools {
        text.push_str(&format!(
            "  * {}: cargo {} --root .tools\n",
            tool.name,
            tool.install_words().join(" ")
        ));
    }
    if !facts.object_given {
        text.push_str(&bpf_instructions(facts));
    }
    text
}

fn bpf_instructions(facts: &Facts) -> String {
    let mut text = String::new();
    if !facts.rustup {
        text.push_str("  * rustup (https://rustup.rs) with a stable toolchain\n");
    }
    let usable = facts.compilers.iter().find(|c| c.version >= Version::required());
    let llvm = match usable {
        Some(compiler) => compiler.llvm.to_string(),
        None => {
            let Version(major, minor) = Version::required();
            let (compiler, sources) = COMPILERS[0];
            text.push_str(&format!(
                "  * a Rust compiler, {major}.{minor} or later, with the sources of core:\n      \
                   rustup toolchain install nightly --component rust-src\n    \
                   or, with Debian 12's {compiler} and {sources}:\n      \
                   rustup toolchain link {LINKED} {SYSTEM_SYSROOT}\n"
            ));
            "NN".to_owned()
        }
    };
    if usable.is_none_or(|compiler| facts.linker != Some(compiler.llvm)) {
        let packages = linker_packages(usable.map_or(22, |c| c.llvm)).join(" ");
        text.push_str(&format!(
            "  * bpf-linker {LINKER_VERSION} for the LLVM of that compiler (NN: see \
             `rustc +TOOLCHAIN -vV`; Debian for LLVM {}: {packages}):\n      {}\n",
            usable.map_or(22, |c| c.llvm),
            linker_command(&llvm)
        ));
    }
    text.push_str(
        "\nOr build the BPF object elsewhere, and name it in PRROUTE_BPF_OBJECT, and its SHA-256 in \
         PRROUTE_BPF_OBJECT_SHA256: then neither compiler nor linker is needed.",
    );
    text
}

fn reason(blocked: &Blocked) -> String {
    let Version(major, minor) = Version::required();
    match blocked {
        Blocked::NoRustup => "there is no rustup".to_owned(),
        Blocked::NoApt => "there is no apt-get".to_owned(),
        Blocked::UnusableToolchain(name) => format!(
            "PRROUTE_BPF_TOOLCHAIN names {name}, which is not installed, is older than \
             {major}.{minor}, or lacks the component rust-src"
        ),
        Blocked::NoCompiler(None) => "apt offers no Rust compiler".to_owned(),
        Blocked::NoCompiler(Some(Version(a, b))) => format!(
            "apt offers Rust {a}.{b} at most, and {major}.{minor} is needed (on Debian 12 it comes \
             from the security archive)"
        ),
        Blocked::NoLlvm(llvm) => format!(
            "apt offers no LLVM {llvm} to build bpf-linker {LINKER_VERSION} for the compiler"
        ),
        Blocked::NotOffered(names) => format!("apt does not offer {}", names.join(", ")),
        Blocked::Behind(names) => format!(
            "apt offers {} older than what is installed of the same source",
            names.join(", ")
        ),
        Blocked::Conflict(name) => {
            format!("the installed package {name} excludes Debian's {}", COMPILERS[0].0)
        }
    }
}
