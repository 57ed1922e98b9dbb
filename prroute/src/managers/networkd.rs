//! systemd-networkd's settings about rules and routes that it did not make: networkd.conf(5).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Machine;

/// Directories below which networkd looks for its configuration, the most important one first.
const DIRECTORIES: [&str; 4] = ["/etc", "/run", "/usr/local/lib", "/usr/lib"];
const MAIN_FILE: &str = "systemd/networkd.conf";
const DROP_INS: &str = "systemd/networkd.conf.d";

const RULES: &str = "ManageForeignRoutingPolicyRules";
const ROUTES: &str = "ManageForeignRoutes";

/// The file that makes networkd leave what it did not make.
pub const DROP_IN: &str = "/etc/systemd/networkd.conf.d/50-prroute.conf";
/// Its content.
pub const DROP_IN_TEXT: &str = include_str!("../../../packaging/50-prroute.networkd.conf");

/// Of what networkd is to read: it runs as a user of its own, systemd-network.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// Whether networkd deletes what it did not make. It does by default since systemd 249.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub rules: bool,
    pub routes: bool,
}

/// The drop-in could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct SetupError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Foreign {
    /// What networkd's configuration amounts to. What cannot be read, by this process or by networkd, says
    /// nothing.
    pub fn effective(machine: &Machine) -> Self {
        let mut foreign = Self { rules: true, routes: true };
        for path in files(machine).into_iter().filter(|path| may_be_read(path, 0o4)) {
            if let Ok(text) = fs::read_to_string(path) {
                foreign.overlay(&text);
            }
        }
        foreign
    }

    fn overlay(&mut self, text: &str) {
        let mut in_section = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                in_section = line == "[Network]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| in_section) else { continue };
            let setting = match key.trim() {
                RULES => &mut self.rules,
                ROUTES => &mut self.routes,
                _ => continue,
            };
            // What is no boolean is passed over; nothing is the default.
            *setting = boolean(value.trim()).unwrap_or(*setting);
        }
    }

    /// Whether it deletes anything of others.
    pub const fn is_any(self) -> bool {
        self.rules || self.routes
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// The main file, then drop-ins by name; of several with one name the most important counts.
fn files(machine: &Machine) -> Vec<PathBuf> {
    let directories = || DIRECTORIES.iter().map(|directory| machine.path(directory));
    let main = directories().map(|d| d.join(MAIN_FILE)).find(|path| path.exists());
    let mut drop_ins = BTreeMap::new();
    let folders = directories().rev().map(|directory| directory.join(DROP_INS));
    for folder in folders.filter(|folder| may_be_read(folder, 0o5)) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            if entry.path().extension().is_some_and(|extension| extension == "conf") {
                drop_ins.insert(entry.file_name(), entry.path());
            }
        }
    }
    main.into_iter().chain(drop_ins.into_values()).collect()
}

/// Whether those who are not root may do this: bits of one digit of a mode. A group or a user that is not
/// root's may be networkd's.
fn may_be_read(path: &Path, bits: u32) -> bool {
    let Ok(found) = fs::metadata(path) else { return false };
    is_open(found.mode(), found.uid(), found.gid(), bits)
}

fn is_open(mode: u32, uid: u32, gid: u32, bits: u32) -> bool {
    let all = |digit: u32| digit & bits == bits;
    all(mode) || (gid != 0 && all(mode >> 3)) || (uid != 0 && all(mode >> 6))
}

/// Writes [`DROP_IN`], which everybody may read, whatever the umask says. `false`: it is there already, word
/// for word.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_drop_in(machine: &Machine) -> Result<bool, SetupError> {
    let path = machine.path(DROP_IN);
    let failed = |operation, path: &PathBuf| {
        let path = path.clone();
        move |source| SetupError { operation, path, source }
    };
    let folder = path.parent().map(PathBuf::from).unwrap_or_default();
    create_folder(&folder).map_err(failed("create", &folder))?;
    // An earlier version may have made it for root alone.
    let was_opened = open(&folder, FOLDER_MODE).map_err(failed("set mode of", &folder))?;
    let has_mode = || fs::metadata(&path).is_ok_and(|it| it.mode() & FILE_MODE == FILE_MODE);
    if fs::read_to_string(&path).is_ok_and(|text| text == DROP_IN_TEXT) && has_mode() {
        return Ok(was_opened);
    }
    // networkd reads the old file or the new one, whole.
    let new = path.with_extension("conf.new");
    fs::write(&new, DROP_IN_TEXT).map_err(failed("write", &new))?;
    open(&new, FILE_MODE).map_err(failed("set mode of", &new))?;
    fs::rename(&new, &path).map_err(failed("rename to", &path))?;
    Ok(true)
}

/// Makes a folder and those above it that are not there, for everybody to read.
fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        create_folder(above)?;
    }
    fs::create_dir(folder)?;
    open(folder, FOLDER_MODE).map(drop)
}

/// Adds what a mode lacks; whether it lacked anything.
fn open(path: &Path, mode: u32) -> io::Result<bool> {
    let has = fs::metadata(path)?.mode() & 0o7777;
    if has & mode == mode {
        return Ok(false);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(has | mode))?;
    Ok(true)
}

impl SetupError {
    pub fn is_permission_denied(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        )
    }
}

#[cfg(test)]
mod tests {
    use super::is_open;

    #[test]
    fn a_file_is_networkds_to_read_when_its_mode_says_so() {
        for (mode, uid, gid, expected) in [
            (0o644, 0, 0, true),
            (0o600, 0, 0, false),
            (0o640, 0, 0, false),
            (0o640, 0, 998, true),
            (0o400, 998, 0, true),
            (0o604, 0, 0, true),
        ] {
            assert_eq!(is_open(mode, uid, gid, 0o4), expected, "{mode:o} {uid} {gid}");
        }
        assert!(is_open(0o755, 0, 0, 0o5) && !is_open(0o744, 0, 0, 0o5));
    }
}
