//! `cargo xtask setup`: what the tasks need from the system.
//!
//! ```text
//!   facts -> plan -> print -> apply -> facts again: is anything left?
//! ```
//!
//! Nothing is installed that was not printed before. When all is there, nothing is printed.

mod apply;
mod archive;
mod crates;
mod facts;
mod manual;
mod needs;
mod plan;
mod toolchain;

use std::process::Command;

use anyhow::{Result, bail};

use facts::Facts;
pub(crate) use needs::Scope;
use plan::{Plan, Step};

use crate::root::NotRoot;
use crate::target::Architecture;
use crate::{cross, project};

/// The machine can do what the scope needs.
#[derive(Debug)]
pub(crate) struct Prepared {
    toolchain: Option<String>,
}

impl Prepared {
    /// A cargo that builds with what was set up.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = project::cargo();
        if let Some(name) = &self.toolchain {
            cargo.env("PRROUTE_BPF_TOOLCHAIN", name);
        }
        cargo
    }

    /// Likewise, for another architecture.
    pub(crate) fn cargo_for(&self, architecture: Architecture) -> Result<Command> {
        let mut cargo = self.cargo();
        // Options of cargo itself stand before its command.
        cross::configure(&mut cargo, architecture)?;
        Ok(cargo)
    }
}

pub(crate) fn task() -> Result<bool> {
    let prepared = ensure(Scope::Vm)?;
    eprintln!("Everything is set up: try `cargo xtask demo`, `cargo xtask test`.");
    eprintln!(
        "(`package`, `book` and other architectures install the rest when they are asked for.)"
    );
    if let Some(name) = prepared.toolchain {
        eprintln!("Without xtask, cargo builds with it where PRROUTE_BPF_TOOLCHAIN={name} is set.");
    }
    Ok(true)
}

/// Installs what `scope` needs and this machine lacks.
pub(crate) fn ensure(scope: Scope) -> Result<Prepared> {
    let mut facts = Facts::observe(scope);
    let hopeless = match plan::plan(&facts) {
        Ok(plan) if plan.steps.is_empty() => return Ok(Prepared { toolchain: plan.toolchain }),
        Ok(_) => false,
        Err(blocked) => !blocked.archive_may_help(),
    };
    if facts.apt && !hopeless {
        if facts.root {
            eprintln!("`{}` lacks something: asking apt (apt-get update).", scope.command());
            apply::update_archive();
        }
        facts.ask_archive()?;
    }
    let plan = match plan::plan(&facts) {
        Ok(plan) => plan,
        Err(blocked) => bail!("{}", manual::instructions(scope, &facts, &blocked)),
    };
    let installs =
        plan.steps.iter().any(|step| matches!(step, Step::Install(_) | Step::Backport { .. }));
    if installs && !facts.root {
        announce(scope, "needs these", &plan);
        eprintln!("By hand:{}\n", manual::commands(&plan));
        bail!(NotRoot { task: "setup", why: "it installs Debian packages" });
    }
    announce(scope, "needs these, and will install them once", &plan);
    for step in &plan.steps {
        apply::apply(step)?;
    }
    verify(scope, facts)
}

fn announce(scope: Scope, intent: &str, plan: &Plan) {
    eprintln!("`{}` {intent}:", scope.command());
    for step in &plan.steps {
        eprintln!("  * {step}");
    }
}

/// Looks again: a step that succeeded without effect is a failure too.
fn verify(scope: Scope, before: Facts) -> Result<Prepared> {
    let facts = Facts { archive: before.archive, ..Facts::observe(scope) };
    match plan::plan(&facts) {
        Ok(plan) if plan.steps.is_empty() => Ok(Prepared { toolchain: plan.toolchain }),
        Ok(plan) => bail!("set-up is incomplete, still to do:{}", manual::commands(&plan)),
        Err(blocked) => bail!("{}", manual::instructions(scope, &facts, &blocked)),
    }
}

#[cfg(test)]
mod tests {
    use crate::project;

    /// Else xtask could not be built on the machine that it is to set up.
    #[test]
    fn xtask_does_not_need_what_it_sets_up() {
        let tree = ["tree", "--locked", "--package", "xtask", "--edges", "normal,build"];
        let format = ["--prefix", "none", "--format", "{p}"];
        let output = project::cargo().args(tree).args(format).output().unwrap();
        let tree = String::from_utf8(output.stdout).unwrap();
        assert!(tree.lines().any(|line| line.starts_with("prroute-tests ")), "{tree}");
        assert!(!tree.lines().any(|line| line.starts_with("prroute ")), "{tree}");
    }
}
