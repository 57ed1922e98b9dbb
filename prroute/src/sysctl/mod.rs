//! Reverse-path filtering of single interfaces: read, compare, write. What they say by ARP, and ports
//! of clients: read.
//!
//! The files are reached by path, not by dotted name: interface names may contain dots. They
//! belong to the network namespace of the calling thread, whatever is mounted on /proc.

mod netstat;
mod ports;
pub(crate) mod received;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use netstat::netstat;
pub use ports::client_ports;

use crate::family::Family;
use crate::state::observed::ArpSettings;

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
}

/// `net.ipv4.conf.<device>.rp_filter`.
pub fn rp_filter(device: &str) -> Result<u8, SysctlError> {
    read(&path(device, RP_FILTER)?)
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

/// Writes `to` when the value is `from`.
pub fn change_rp_filter(device: &str, from: u8, to: u8) -> Result<Outcome, SysctlError> {
    let path = path(device, RP_FILTER)?;
    let value = read(&path)?;
    if value != from {
        return Ok(Outcome::LeftAt(value));
    }
    fs::write(&path, to.to_string()).map_err(|source| SysctlError {
        operation: format!("write {to} to"),
        path,
        source,
    })?;
    Ok(Outcome::Written)
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
    let failed =
        |source| SysctlError { operation: "read".to_owned(), path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let value = text.trim().parse();
    value.map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidData, e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_somebody_changed_is_left() {
        let value = rp_filter("lo").unwrap();
        assert_eq!(
            change_rp_filter("lo", value.wrapping_add(1), value).unwrap(),
            Outcome::LeftAt(value)
        );
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
