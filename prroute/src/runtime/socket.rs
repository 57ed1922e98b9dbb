//! The socket on which the daemon tells of itself. It only reads: who may connect may know what is
//! reported, and change nothing.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Group;

use crate::runtime::directory::RunDirectory;
use crate::runtime::files::{RuntimeError, failed};

/// Whose members may connect, where there is such a group.
pub const GROUP: &str = "prroute";
/// Of a directory: what is made in it gets its group.
const SET_GROUP: u32 = 0o2000;

impl RunDirectory {
    pub fn socket_path(&self) -> PathBuf {
        self.path().join("socket")
    }
}

/// The listening socket, for root alone at first, unless the directory is a group's. It takes the place of one that an earlier daemon left.
///
/// # Errors
///
/// When it cannot be made.
pub fn bind(directory: &RunDirectory) -> Result<UnixListener, RuntimeError> {
    let path = directory.socket_path();
    remove(directory)?;
    let listener = UnixListener::bind(&path).map_err(failed("bind", &path))?;
    let mode = if is_for_group(directory)? { 0o660 } else { 0o600 };
    fs::set_permissions(&path, Permissions::from_mode(mode))
        .map_err(failed("set mode of", &path))?;
    Ok(listener)
}

/// Lets a group connect, and tells whether there is one: the group of the directory, where that was
/// made for one, else the one of the name, which may have to be looked up on another host.
///
/// # Errors
///
/// When owner or mode cannot be changed.
pub fn open_to_group(directory: &RunDirectory) -> Result<bool, RuntimeError> {
    let (path, folder) = (directory.socket_path(), directory.path());
    if !is_for_group(directory)? {
        let group = match Group::from_name(GROUP) {
            // So a system without /etc/group says it, as a container (getgrnam(3)).
            Err(Errno::ENOENT | Errno::ESRCH) => None,
            group => group.map_err(io::Error::from).map_err(failed("find the group of", &path))?,
        };
        let Some(group) = group else { return Ok(false) };
        let gid = Some(group.gid.as_raw());
        // What is in them has modes of its own.
        if let Some(parent) = folder.parent() {
            add_mode(parent, 0o011)?;
        }
        if mode(folder)? & 0o001 == 0 {
            chown(folder, None, gid).map_err(failed("set group of", folder))?;
            add_mode(folder, 0o010)?;
        }
        chown(&path, None, gid).map_err(failed("set group of", &path))?;
    }
    fs::set_permissions(&path, Permissions::from_mode(0o660))
        .map_err(failed("set mode of", &path))?;
    Ok(true)
}

/// The directory was made for a group, which what is made in it has.
fn is_for_group(directory: &RunDirectory) -> Result<bool, RuntimeError> {
    let for_group = SET_GROUP | 0o010;
    Ok(mode(directory.path())? & for_group == for_group)
}

fn mode(path: &Path) -> Result<u32, RuntimeError> {
    Ok(fs::metadata(path).map_err(failed("look at", path))?.permissions().mode() & 0o7777)
}

fn add_mode(path: &Path, bits: u32) -> Result<(), RuntimeError> {
    let now = mode(path)?;
    if now & bits == bits {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(now | bits))
        .map_err(failed("set mode of", path))
}

/// # Errors
///
/// When there is one that cannot be removed.
pub fn remove(directory: &RunDirectory) -> Result<(), RuntimeError> {
    let path = directory.socket_path();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &path)(error))
        }
        _ => Ok(()),
    }
}
