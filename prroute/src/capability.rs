//! The three capabilities that prroute works under.

use std::io;

/// capabilities(7).
const NEEDED: [(&str, u8); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// Contains CAP_PERFMON and CAP_BPF, which were split from it in Linux 5.8. Docker before 23 knows neither.
const SYS_ADMIN: u64 = 1 << 21;
const SPLIT_FROM_SYS_ADMIN: u64 = 1 << 38 | 1 << 39;

/// What this process lacks.
#[derive(Debug, thiserror::Error)]
#[error("needs {}; run it as root, or through its systemd unit", names.join(", "))]
pub struct MissingCapabilities {
    pub names: Vec<&'static str>,
}

/// Refuses to start without the capabilities, before anything is touched. CAP_PERFMON is not
/// only about speed: without it the verifier refuses or slows the programs.
///
/// # Errors
///
/// Names what is missing.
pub fn require() -> Result<(), anyhow::Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let names = missing_from(&status)?;
    if names.is_empty() { Ok(()) } else { Err(MissingCapabilities { names }.into()) }
}

fn missing_from(status: &str) -> io::Result<Vec<&'static str>> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .ok_or_else(|| io::Error::other("/proc/self/status has no CapEff"))?;
    let contained = if effective & SYS_ADMIN != 0 { SPLIT_FROM_SYS_ADMIN } else { 0 };
    let effective = effective | contained;
    Ok(NEEDED.iter().filter(|(_, bit)| effective >> bit & 1 == 0).map(|(name, _)| *name).collect())
}

#[cfg(test)]
mod tests {
    use super::missing_from;

    #[test]
    fn what_is_missing_is_named() {
        let status = "Name:\tprroute\nCapEff:\t0000008000001000\n";
        assert_eq!(missing_from(status).unwrap(), ["CAP_PERFMON"]);
        assert_eq!(missing_from("CapEff:\t000000c000001000\n").unwrap(), [""; 0]);
        // CAP_SYS_ADMIN, with CAP_NET_ADMIN and without.
        assert_eq!(missing_from("CapEff:\t0000000000201000\n").unwrap(), [""; 0]);
        assert_eq!(missing_from("CapEff:\t0000000000200000\n").unwrap(), ["CAP_NET_ADMIN"]);
    }
}
