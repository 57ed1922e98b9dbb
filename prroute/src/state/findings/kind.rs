//! Kinds of findings, and the ids that are made of them.

use std::fmt;

macro_rules! kinds {
    ($($variant:ident = $name:literal;)+) => {
        /// What a finding is about. A name keeps its meaning; `docs/findings.md` has a section for each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($variant,)+
        }

        impl Kind {
            /// Every kind, in the order in which `doctor` lists its checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As ids, metrics and documentation have it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

kinds! {
    ConfigurationInvalid = "configuration-invalid";
    FewUplinks = "few-uplinks";
    UplinkCandidate = "uplink-candidate";
    UplinkExcluded = "uplink-excluded";
    UplinkUnfit = "uplink-unfit";
    AddressMissing = "address-missing";
    Carrier = "carrier";
    GatewaySilent = "gateway-silent";
    GatewayGone = "gateway-gone";
    GatewayNone = "gateway-none";
    GatewayOffSubnet = "gateway-off-subnet";
    GatewayOwnAddress = "gateway-own-address";
    GatewayFallback = "gateway-fallback";
    GatewayStandby = "gateway-standby";
    GatewayUndecided = "gateway-undecided";
    ForwardingOff = "forwarding-off";
    Mtu = "mtu";
    Asymmetric = "asymmetric";
    SharedAddressNowhere = "shared-address-nowhere";
    SameSubnet = "same-subnet";
    ReversePathFilter = "reverse-path-filter";
    CatchAll = "catch-all";
    CatchAllDestinations = "catch-all-destinations";
    Moved = "moved";
    DirectReturn = "direct-return";
    OwnSource = "own-source";
    RpFilter = "rp-filter";
    DaemonGone = "daemon-gone";
    DaemonHangs = "daemon-hangs";
    ReportUnreadable = "report-unreadable";
    ReloadRefused = "reload-refused";
    ConfigurationChanged = "configuration-changed";
    LeftOut = "left-out";
    Memory = "memory";
    KernelFeature = "kernel-feature";
    KernelLacks = "kernel-lacks";
    NftDrop = "nft-drop";
    NftOif = "nft-oif";
    NetfilterUnread = "netfilter-unread";
    IptablesLegacy = "iptables-legacy";
    ListensOnOneAddress = "listens-on-one-address";
    Networkd = "networkd";
    Manager = "manager";
    Healing = "healing";
    Unconfirmed = "unconfirmed";
    TableFull = "table-full";
    Layout = "layout";
    ProgramOrder = "program-order";
    ProgramForeign = "program-foreign";
    PinsMissing = "pins-missing";
    ProgramMissing = "program-missing";
    CgroupPrograms = "cgroup-programs";
    Collision = "collision";
    Unsteady = "unsteady";
    RuleMissing = "rule-missing";
    RouteMissing = "route-missing";
    NeighbourMissing = "neighbour-missing";
    Leftover = "leftover";
}

/// Kind and object, as `kind:object`, or the kind alone: the same for as long as the finding lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    kind: Kind,
    text: String,
}

impl Id {
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Kind {
    /// The id of a finding that a host has once.
    pub(super) fn alone(self) -> Id {
        Id { kind: self, text: self.name().to_owned() }
    }

    pub(super) fn of(self, object: &dyn fmt::Display) -> Id {
        Id { kind: self, text: format!("{}:{object}", self.name()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_have_one_name() {
        for (at, kind) in Kind::ALL.iter().enumerate() {
            let before = &Kind::ALL[..at];
            assert!(before.iter().all(|other| other.name() != kind.name()), "{kind:?}");
        }
    }

    #[test]
    fn an_id_begins_with_its_kind() {
        assert_eq!(Kind::Layout.alone().as_str(), "layout");
        let id = Kind::Carrier.of(&"eth0");
        assert_eq!((id.kind(), id.as_str()), (Kind::Carrier, "carrier:eth0"));
    }
}
