//! Whose rule it likely is, by what programs are known to use.

use nix::libc::{RTPROT_KERNEL, RTPROT_STATIC};

use crate::state::observed::Rule;

/// `None` when nothing tells.
pub(super) fn owner(rule: &Rule) -> Option<&'static str> {
    let mark = rule.mark.map_or(0, |mark| mark.value);
    Some(match (rule.priority, rule.table, mark) {
        (_, 7120, _) | (105..=110, _, 0x1_bd00) => "NetBird",
        (_, 52, _) | (5210..=5270, _, _) => "Tailscale",
        (_, 0x6d6f_6c65, _) | (_, _, 0x6d6f_6c65) => "Mullvad VPN",
        (_, 205, 0xe1f1) => "NordVPN",
        // It marks its own packets with the number of the table.
        (_, table, mark) if rule.invert && table == mark && mark != 0 => {
            "wg-quick or NetworkManager, for WireGuard"
        }
        (220, 220, _) => "strongSwan",
        (1001..=3254, 0..=252, _) => "mwan3",
        (1..=111, _, _) if rule.protocol == RTPROT_KERNEL => "Cilium",
        _ if rule.protocol == RTPROT_STATIC => "systemd-networkd or netplan",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::observed::{Family, Mark};

    fn of(priority: u32, table: u32, not_mark: Option<u32>, protocol: u8) -> Option<&'static str> {
        let mark = not_mark.map(|value| Mark { value, mask: u32::MAX });
        let invert = mark.is_some();
        owner(&Rule { table, mark, invert, protocol, ..Rule::nop(Family::V4, priority) })
    }

    #[test]
    fn rules_of_well_known_programs_have_an_owner() {
        let wireguard = "wg-quick or NetworkManager, for WireGuard";
        for (rule, expected) in [
            (of(20_999, 51_820, Some(51_820), 3), Some(wireguard)),
            (of(110, 7120, Some(0x1_bd00), 3), Some("NetBird")),
            (of(5270, 52, None, 3), Some("Tailscale")),
            (of(220, 220, None, 3), Some("strongSwan")),
            (of(2001, 1, None, 3), Some("mwan3")),
            (of(20, 2004, None, 2), Some("Cilium")),
            (of(15_000, 77, None, 4), Some("systemd-networkd or netplan")),
            (of(15_000, 77, None, 3), None),
        ] {
            assert_eq!(rule, expected);
        }
    }
}
