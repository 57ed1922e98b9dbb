//! With `--probe`: gateways are asked for their link-layer address, and for how large a packet may be.

mod echo;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::Host;
use crate::examine::Examination;
use crate::state::findings::{Finding, Kind, Severity, word};
use crate::state::observed::NeighbourState;
use crate::state::uplink::Uplink;

/// A gateway that has not given its link-layer address by then is silent.
const PATIENCE: Duration = Duration::from_millis(1_500);
const POLL: Duration = Duration::from_millis(50);
/// Every host takes packets of this size (RFC 791 says 576 bytes).
const SMALLEST: u32 = 576;
/// The MTU of Ethernet.
const USUAL: u32 = 1500;
const TAG: u32 = 4;

/// What a gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    uplink: String,
    gateway: Ipv4Addr,
    mtu: u32,
    largest: Largest,
}

/// The largest packet of IPv4 that is answered, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Largest {
    /// As large as the interface sends.
    Mtu,
    Bytes(u32),
    /// It answers no ping.
    Silent,
    /// Nothing could be sent.
    Unknown(String),
}

impl Reach {
    /// Whether its MTU can be told.
    pub(super) const fn is_answered(&self) -> bool {
        matches!(self.largest, Largest::Mtu | Largest::Bytes(_))
    }
}

/// Has the kernel ask all gateways for their link-layer addresses, and waits for the answers.
///
/// # Errors
///
/// When the kernel cannot be read.
pub(crate) async fn ask_gateways(examined: &Examination) -> anyhow::Result<()> {
    let kernel = crate::netlink::Kernel::connect().await?;
    let uplinks: Vec<&Uplink> = examined.outlook.uplinks.iter().filter(|u| u.device.up).collect();
    for device in uplinks.iter().map(|uplink| &uplink.device) {
        for gateway in &device.gateways {
            if let Err(error) = echo::touch(&device.name, device.ifindex, *gateway) {
                tracing::debug!("{}: send to {gateway}: {error}", device.name);
            }
        }
    }
    let end = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < end {
        let observed = kernel.observe().await?;
        let is_open = |uplink: &&Uplink| {
            let device = &uplink.device;
            device.gateways.iter().any(|gateway| {
                let entry = observed.neighbour(device.ifindex, *gateway);
                entry.is_some_and(|entry| entry.state == NeighbourState::Incomplete)
            })
        };
        if !uplinks.iter().any(is_open) {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Asks the IPv4 gateways of all uplinks that are up.
pub(crate) fn reaches(uplinks: &[Uplink]) -> Vec<Reach> {
    let devices = uplinks.iter().map(|uplink| &uplink.device).filter(|device| device.up);
    devices
        .filter_map(|device| {
            let IpAddr::V4(gateway) = device.way_out.v4.gateway? else { return None };
            let (uplink, mtu) = (device.name.clone(), device.mtu);
            let largest = largest(mtu, |size| echo::ping(&uplink, gateway, size))
                .unwrap_or_else(|error| Largest::Unknown(error.to_string()));
            Some(Reach { uplink, gateway, mtu, largest })
        })
        .collect()
}

/// RFC 8200, section 5.
const LEAST_IPV6: u32 = 1280;

/// The largest size up to `mtu` that is answered.
fn largest(
    mtu: u32,
    mut answers: impl FnMut(u32) -> std::io::Result<bool>,
) -> std::io::Result<Largest> {
    if answers(mtu)? {
        return Ok(Largest::Mtu);
    }
    if mtu <= SMALLEST || !answers(SMALLEST)? {
        return Ok(Largest::Silent);
    }
    let (mut good, mut bad) = (SMALLEST, mtu);
    // The usual one first. Devices take four bytes more, for a VLAN tag.
    if mtu > USUAL {
        match answers(USUAL)? {
            true if mtu <= USUAL + TAG || !answers(USUAL + TAG + 1)? => {
                return Ok(Largest::Bytes(USUAL));
            }
            true => good = USUAL + TAG + 1,
            false => bad = USUAL,
        }
    }
    while bad - good > 1 {
        let next = good.midpoint(bad);
        *if answers(next)? { &mut good } else { &mut bad } = next;
    }
    Ok(Largest::Bytes(good))
}

pub(super) fn findings(host: &Host<'_>) -> Vec<Finding> {
    host.facts.reaches.iter().flatten().filter_map(finding).collect()
}

fn finding(reach: &Reach) -> Option<Finding> {
    let Reach { uplink, gateway, mtu, largest } = reach;
    let Largest::Bytes(bytes) = largest else { return None };
    Some(Finding {
        severity: Severity::Warning,
        what: format!(
            "{uplink}: its MTU is {mtu}, but gateway {gateway} answers no ping of more than {bytes} \
             bytes: larger packets are lost, or it answers no larger pings"
        ),
        device: Some(uplink.clone()),
        evidence: vec![format!("pings of {bytes} bytes are answered, of {mtu} not")],
        // With less, the kernel takes IPv6 from the device.
        fix: (*bytes >= LEAST_IPV6)
            .then(|| format!("ip link set dev {} mtu {bytes}", word(uplink))),
        ..Finding::about(Kind::Mtu, uplink)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(mtu: u32, limit: u32) -> (Largest, u32) {
        let mut count = 0;
        let found = largest(mtu, |size| {
            count += 1;
            Ok(size <= limit)
        });
        (found.unwrap(), count)
    }

    #[test]
    fn the_largest_size_that_is_answered_is_found() {
        assert_eq!(asked(1500, 1500), (Largest::Mtu, 1));
        assert_eq!(asked(9000, 1504), (Largest::Bytes(1500), 4));
        for (mtu, limit) in [(1500, 1492), (1500, 1280), (9000, 1400), (9000, 4000), (1501, 1500)] {
            let (found, count) = asked(mtu, limit);
            assert_eq!(found, Largest::Bytes(limit), "{mtu}");
            assert!(count < 20, "{mtu}, {limit}: {count}");
        }
        assert_eq!(asked(1500, 0).0, Largest::Silent);
        assert_eq!(asked(500, 0).0, Largest::Silent);
    }
}
