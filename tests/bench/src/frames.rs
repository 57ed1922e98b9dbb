//! The packets of one conversation, as they are seen on an uplink.

use std::net::IpAddr;

use anyhow::{Result, bail};
use prroute_tests::addressing::{self, Family};
use prroute_tests::frame::{Flags, Way, mac};

use crate::host::Host;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Syn,
    SynAck,
    Ack,
    Udp,
}

/// The address that a client speaks with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Local {
    /// Of uplink 2.
    Owned,
    /// On the loopback device.
    Shared,
}

pub(crate) const LOCALS: [Local; 2] = [Local::Owned, Local::Shared];

const CLIENT_PORT: u16 = 40_000;
const PORT: u16 = 443;
/// Of the SYN-ACK; that of the SYN is 0.
const SEQUENCE: u32 = 1000;

/// From the client to the host, or back.
pub(crate) fn frame(
    kind: Kind,
    uplink: u8,
    local: Local,
    family: Family,
    is_reply: bool,
) -> Result<Vec<u8>> {
    let (router, host) =
        (mac(&addressing::gateway_mac(uplink))?, mac(&addressing::host_mac(uplink))?);
    let client = Host::client(family);
    let local: IpAddr = match local {
        Local::Owned => Host::asked(family),
        Local::Shared => addressing::shared(family),
    };
    let (way, ports) = if is_reply {
        (
            Way { source_mac: host, target_mac: router, source: local, target: client },
            (PORT, CLIENT_PORT),
        )
    } else {
        (
            Way { source_mac: router, target_mac: host, source: client, target: local },
            (CLIENT_PORT, PORT),
        )
    };
    let payload = [0; 32];
    let flags = |syn, ack| Flags { syn, ack, ..Flags::default() };
    match (kind, is_reply) {
        (Kind::Udp, _) => way.udp(ports, &payload),
        (Kind::Syn, false) => way.tcp(ports, flags(true, false), (0, 0), &[]),
        (Kind::SynAck, true) => way.tcp(ports, flags(true, true), (SEQUENCE, 1), &[]),
        (Kind::Ack, false) => way.tcp(ports, flags(false, true), (1, SEQUENCE + 1), &payload),
        (Kind::Ack, true) => way.tcp(ports, flags(false, true), (SEQUENCE + 1, 1), &payload),
        _ => bail!("{kind:?} goes the other way"),
    }
}
