//! Where the project's things are, and how its cargo is called.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The repository's root directory.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Where cargo puts what it builds, and the tasks what they write.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target")))
}

/// Build tools that belong to the project and not to the system.
pub(crate) fn tools() -> PathBuf {
    root().join(".tools")
}

/// The cargo that runs this task, in the project's root.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(root());
    cargo
}

/// The system directories of programs that `su` without a login leaves out of PATH.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Adds the system directories to this process's search path, which its children inherit.
pub(crate) fn complete_search_path() {
    let given = env::var_os("PATH").unwrap_or_default();
    let mut path: Vec<PathBuf> = env::split_paths(&given).collect();
    for directory in SYSTEM_DIRECTORIES {
        if !path.iter().any(|p| p == Path::new(directory)) {
            path.push(PathBuf::from(directory));
        }
    }
    // No directory can contain the separator here: they all came out of the variable itself.
    if let Ok(path) = env::join_paths(path) {
        // SAFETY: main calls this before it starts any thread, so nothing reads the environment
        // concurrently.
        unsafe { env::set_var("PATH", path) };
    }
}

/// The first file of this name on the search path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|p| p.join(name)).find(|p| p.is_file())
}

/// Removes a directory with all that is in it, if it is there.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Runs a command; what it printed is shown only when it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        // Checkers say on the one what they have found, and on the other how they fared.
        let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
        let said = said.concat();
        bail!("{command:?}: {}\n{}", output.status, said.trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::quietly;

    #[test]
    fn all_that_a_command_said_is_shown_when_it_fails() {
        let run = |script| quietly(Command::new("sh").args(["-c", script]));
        let error = run("echo found; echo why >&2; exit 3").unwrap_err().to_string();
        assert!(error.ends_with("\nfound\nwhy"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert_eq!(run("echo done").unwrap(), b"done\n");
    }
}
