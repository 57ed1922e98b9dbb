//! What left by the wrong uplink while packets were only observed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::{Map, MapData, MapInfo, PerCpuHashMap};
use prroute_common::address::{octets4, octets6};
use prroute_common::names;
use prroute_common::observe::WrongUplinkKey;
use prroute_common::reason::Reason;

use crate::datapath::counters::Counters;
use crate::datapath::error::Result;
use crate::datapath::maps::{failed, is_absent, open};
use crate::datapath::pins::Pins;
use crate::state::uplink::UplinkId;

/// Packets of one service that left by the same wrong uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongUplink {
    /// IANA protocol number.
    pub protocol: u8,
    pub address: IpAddr,
    /// 0 for ICMP, for protocols without ports, and for fragments.
    pub port: u16,
    pub left_by: UplinkId,
    /// Where their requests came in.
    pub belongs_on: UplinkId,
    pub packets: u64,
}

/// What was counted since observing began, the most first. A service may have made room for others.
///
/// # Errors
///
/// When the table is not pinned or cannot be read.
pub fn read(pins: &Pins) -> Result<Vec<WrongUplink>> {
    let map = table(pins)?;
    let mut counts = HashMap::new();
    for key in keys(pins, &map)? {
        match map.get(&key, 0) {
            Ok(packets) => drop(counts.insert(key, packets.iter().sum())),
            // It has just made room for another one.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(failed("read", names::WRONG_UPLINK)(error)),
        }
    }
    let mut all: Vec<_> =
        counts.into_iter().map(|(key, packets)| wrong_uplink(&key, packets)).collect();
    all.sort_by_key(|it| {
        let service = (it.address, it.protocol, it.port);
        (std::cmp::Reverse(it.packets), service, it.left_by, it.belongs_on)
    });
    Ok(all)
}

/// Packets of all services, also of those that the table had no room for, whenever packets were observed.
///
/// # Errors
///
/// When the counters are not pinned or cannot be read.
pub fn total(pins: &Pins) -> Result<u64> {
    Counters::open(pins)?.sum(&[Reason::WrongUplink])
}

/// Forgets what was counted.
///
/// # Errors
///
/// When the table is not pinned or cannot be written.
pub fn clear(pins: &Pins) -> Result<()> {
    let mut map = table(pins)?;
    for key in keys(pins, &map)? {
        match map.remove(&key) {
            Err(error) if !is_absent(&error) => {
                return Err(failed("write", names::WRONG_UPLINK)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

type Table = PerCpuHashMap<MapData, WrongUplinkKey, u64>;

fn table(pins: &Pins) -> Result<Table> {
    open(pins, names::WRONG_UPLINK, Map::PerCpuLruHashMap)
}

/// Not more than there is room for: the kernel begins anew when the key at hand is gone.
fn keys(pins: &Pins, map: &Table) -> Result<Vec<WrongUplinkKey>> {
    let failed = failed("read", names::WRONG_UPLINK);
    let info = MapInfo::from_pin(pins.map(names::WRONG_UPLINK)).map_err(&failed)?;
    let room = info.max_entries() as usize;
    map.keys().take(room).collect::<std::result::Result<_, _>>().map_err(failed)
}

fn wrong_uplink(key: &WrongUplinkKey, packets: u64) -> WrongUplink {
    WrongUplink {
        protocol: key.protocol,
        address: match key.version {
            4 => Ipv4Addr::from(octets4(key.address[0] as u32)).into(),
            _ => Ipv6Addr::from(octets6(key.address)).into(),
        },
        port: u16::from_be_bytes(key.port),
        left_by: UplinkId(key.left_by),
        belongs_on: UplinkId(key.belongs_on),
        packets,
    }
}
