//! Which source this is a build of: git is asked when a release is built. A development build does not ask, so
//! that a commit alone has nothing compiled anew.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Overrides what git says, for packagers who build outside a checkout.
const GIVEN: &str = "PRROUTE_COMMIT";

const UNKNOWN: &str = "unknown";

/// Leaves it in `PRROUTE_BUILT_FROM`: the commit, with `-dirty` behind it where a file differs from it.
pub(crate) fn tell(root: &Path) {
    println!("cargo:rerun-if-env-changed={GIVEN}");
    let given = env::var(GIVEN).ok().filter(|given| !given.is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = match given {
        Some(given) => given,
        None if is_release => of_checkout(root).unwrap_or_else(|| UNKNOWN.to_owned()),
        None => UNKNOWN.to_owned(),
    };
    println!("cargo:rustc-env=PRROUTE_BUILT_FROM={commit}");
}

fn of_checkout(root: &Path) -> Option<String> {
    // A checkout of something else that this one lies in is not it.
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(root).ok()? {
        return None;
    }
    let head = git(root, &["rev-parse", "--git-path", "HEAD"])?;
    let index = git(root, &["rev-parse", "--git-path", "index"])?;
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
    let branch = branch.and_then(|branch| git(root, &["rev-parse", "--git-path", &branch]));
    for file in [Some(head), Some(index), branch].into_iter().flatten() {
        let file = root.join(file);
        if file.exists() {
            println!("cargo:rerun-if-changed={}", file.display());
        }
    }
    let commit = git(root, &["rev-parse", "HEAD"])?;
    let changed = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn git(root: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(root).args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
