//! Reverse-path filtering of single interfaces: read, compare, write. What they say by ARP, and ports
//! of clients: read.
//!
//! The files are reached by path, not by dotted name: interface names may contain dots. They
//! belong to the network namespace of the calling thread, whatever is mounted on /proc.

mod netstat;
mod ports;
pub(crate) mod received;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use nix::net::if_::if_nametoindex;

pub use netstat::netstat;
pub use ports::client_ports;

use crate::family::Family;
use crate::state::observed::ArpSettings;
use crate::state::uplink::Ifindex;

const CONF: &str = "/proc/sys/net/ipv4/conf";
const RP_FILTER: &str = "rp_filter";

/// A sysctl that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct SysctlError {
    operation: String,
    path: PathBuf,
    source: io::Error,
}

impl SysctlError {
    /// The caller may not change the value.
    pub fn is_permission_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }

    /// The interface is gone.
    pub fn is_gone(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// What [`change_rp_filter`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written,
    /// Somebody else changed the value; it stays.
    LeftAt(u8),
    /// The device has another name, or none any more; whatever has this one is left as it is.
    NotItsName,
}

/// `net.ipv4.conf.<device>.rp_filter`.
pub fn rp_filter(device: &str) -> Result<u8, SysctlError> {
    read(&path(device, RP_FILTER)?)
}

/// Likewise, of the device with this index. `None`: that has another name now.
pub fn rp_filter_of(device: &str, ifindex: Ifindex) -> Result<Option<u8>, SysctlError> {
    let path = path(device, RP_FILTER)?;
    let mut file = File::open(&path).map_err(|source| not_read(&path, source))?;
    if !is_name_of(device, ifindex) {
        return Ok(None);
    }
    read_from(&mut file, &path).map(Some)
}

/// `net.ipv4.conf.<device>.forwarding`: what comes in there may be for others.
pub fn is_forwarding(device: &str) -> Result<bool, SysctlError> {
    read(&path(device, "forwarding")?).map(|value| value != 0)
}

/// `net.ipv6.conf.all.forwarding`: what comes in anywhere may be for others.
pub fn is_forwarding_ipv6() -> Result<bool, SysctlError> {
    read(Path::new("/proc/sys/net/ipv6/conf/all/forwarding")).map(|value| value != 0)
}

/// `net.ipv4.conf.<device>.src_valid_mark`, or that of `all`: reverse-path filtering looks at marks.
pub fn filters_by_mark(device: &str) -> bool {
    let is_on = |device| Ok::<_, SysctlError>(read(&path(device, "src_valid_mark")?)? != 0);
    ["all", device].into_iter().any(|device| is_on(device).unwrap_or_default())
}

/// `net.ipv4.tcp_fwmark_accept`, of both families: a connection has the mark of the packet that opened it.
pub fn accepts_marks() -> bool {
    read(Path::new("/proc/sys/net/ipv4/tcp_fwmark_accept")).is_ok_and(|value| value != 0)
}

/// `net.ipv4.fwmark_reflect`, `net.ipv6.fwmark_reflect`: what the kernel itself answers has the mark of what was
/// asked.
pub fn reflects_marks(family: Family) -> bool {
    let path = match family {
        Family::V4 => "/proc/sys/net/ipv4/fwmark_reflect",
        Family::V6 => "/proc/sys/net/ipv6/fwmark_reflect",
    };
    read(Path::new(path)).is_ok_and(|value| value != 0)
}

/// `net.ipv4.conf.<device>.arp_ignore` and `arp_announce`.
pub fn arp(device: &str) -> Result<ArpSettings, SysctlError> {
    let [ignore, announce] = ["arp_ignore", "arp_announce"].map(|name| read(&path(device, name)?));
    Ok(ArpSettings { device: device.to_owned(), ignore: ignore?, announce: announce? })
}

/// Writes `to` when the value is `from`, and the name is that of the device with this index.
pub fn change_rp_filter(
    device: &str,
    ifindex: Ifindex,
    from: u8,
    to: u8,
) -> Result<Outcome, SysctlError> {
    let Some(value) = rp_filter_of(device, ifindex)? else { return Ok(Outcome::NotItsName) };
    if value != from {
        return Ok(Outcome::LeftAt(value));
    }
    let path = path(device, RP_FILTER)?;
    let failed =
        |source| SysctlError { operation: format!("write {to} to"), path: path.clone(), source };
    // Only now: what is left as it is may be in a /proc/sys that is read-only.
    let opened = File::options().write(true).open(&path);
    let mut file = opened.map_err(failed)?;
    if !is_name_of(device, ifindex) {
        return Ok(Outcome::NotItsName);
    }
    file.write_all(to.to_string().as_bytes()).map_err(failed)?;
    Ok(Outcome::Written)
}

/// Asked after a file of the device was opened: when the device gets another name later, the kernel makes
/// its files anew, and the one that is open can be used no longer (`ENOENT`). It never is another device's.
fn is_name_of(device: &str, ifindex: Ifindex) -> bool {
    if_nametoindex(device) == Ok(ifindex.0)
}

fn path(device: &str, name: &str) -> Result<PathBuf, SysctlError> {
    let path = Path::new(CONF).join(device).join(name);
    if device.is_empty() || device.contains('/') || device == ".." || device == "." {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "no name of an interface");
        return Err(SysctlError { operation: "find".to_owned(), path, source });
    }
    Ok(path)
}

fn read(path: &Path) -> Result<u8, SysctlError> {
    let mut file = File::open(path).map_err(|source| not_read(path, source))?;
    read_from(&mut file, path)
}

fn not_read(path: &Path, source: io::Error) -> SysctlError {
    SysctlError { operation: "read".to_owned(), path: path.to_owned(), source }
}

fn read_from(file: &mut File, path: &Path) -> Result<u8, SysctlError> {
    let failed = |source| not_read(path, source);
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    let value = text.trim().parse();
    value.map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidData, e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: Ifindex = Ifindex(1);

    #[test]
    fn a_value_somebody_changed_is_left() {
        let value = rp_filter("lo").unwrap();
        assert_eq!(
            change_rp_filter("lo", LOOPBACK, value.wrapping_add(1), value).unwrap(),
            Outcome::LeftAt(value)
        );
        assert_eq!(change_rp_filter("lo", LOOPBACK, value, value).unwrap(), Outcome::Written);
        assert_eq!(rp_filter_of("lo", LOOPBACK).unwrap(), Some(value));
    }

    /// Two devices may have exchanged their names since they were looked at.
    #[test]
    fn a_device_that_has_the_name_of_another_is_left() {
        let other = Ifindex(LOOPBACK.0 + 1);
        let value = rp_filter("lo").unwrap();
        let outcome = change_rp_filter("lo", other, value, value ^ 1).unwrap();
        assert_eq!(outcome, Outcome::NotItsName);
        assert_eq!(rp_filter("lo").unwrap(), value);
        assert_eq!(rp_filter_of("lo", other).unwrap(), None);
    }

    #[test]
    fn errors_name_operation_and_path() {
        let error = rp_filter("no.such-device").unwrap_err();
        assert!(error.is_gone());
        assert!(
            error
                .to_string()
                .starts_with("read /proc/sys/net/ipv4/conf/no.such-device/rp_filter: ")
        );
        assert!(rp_filter("../all").is_err());
        assert!(rp_filter("..").is_err());
    }
}
