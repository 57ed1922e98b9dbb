//! systemd-networkd's settings about rules and routes that it did not make: networkd.conf(5).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

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
    /// What networkd's configuration amounts to. What cannot be read says nothing.
    pub fn effective(machine: &Machine) -> Self {
        let mut foreign = Self { rules: true, routes: true };
        for path in files(machine) {
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
    for directory in directories().rev() {
        let entries = fs::read_dir(directory.join(DROP_INS)).into_iter().flatten().flatten();
        for entry in entries {
            if entry.path().extension().is_some_and(|extension| extension == "conf") {
                drop_ins.insert(entry.file_name(), entry.path());
            }
        }
    }
    main.into_iter().chain(drop_ins.into_values()).collect()
}

/// Writes [`DROP_IN`]. `false`: it is there already, word for word.
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
    if fs::read_to_string(&path).is_ok_and(|text| text == DROP_IN_TEXT) {
        return Ok(false);
    }
    if let Some(folder) = path.parent().map(PathBuf::from) {
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
    }
    // networkd reads the old file or the new one, whole.
    let new = path.with_extension("conf.new");
    fs::write(&new, DROP_IN_TEXT).map_err(failed("write", &new))?;
    fs::rename(&new, &path).map_err(failed("rename to", &path))?;
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
