use super::super::fixture::{Host, found};
use super::super::ids::{KnownId, allocate_recalling};
use super::super::uplink::Ifindex;
use super::*;
use crate::config::Config;

/// NICs by name and last byte of the hardware address, in the kernel's order.
fn nics(nics: &[(&str, u8)]) -> Host {
    let host = nics
        .iter()
        .fold(Host::new(), |host, (name, _)| host.nic(name).address(name, "192.0.2.2/24"));
    let mut host = host;
    for (name, last) in nics {
        let link = host.0.links.iter_mut().find(|link| link.name == *name).unwrap();
        link.mac = Some([2, 0, 0, 0, 0, *last]);
    }
    host
}

fn boot(host: &Host, remembered: &[RememberedId], known: &[KnownId]) -> Vec<Uplink> {
    let recall = Recall { remembered, links: &host.0.links };
    allocate_recalling(known, recall, found(&Config::default(), &host.0).0).0
}

/// What is remembered after a boot with these NICs, at a moment.
fn after(host: &Host, remembered: &[RememberedId], now: u64) -> Vec<RememberedId> {
    let uplinks = boot(host, remembered, &[]);
    Recall { remembered, links: &host.0.links }.updated(&uplinks, now)
}

fn ids(uplinks: &[Uplink]) -> Vec<(&str, u16)> {
    uplinks.iter().map(|uplink| (uplink.device.name.as_str(), uplink.id.0)).collect()
}

const THREE: [(&str, u8); 3] = [("eth0", 10), ("eth1", 11), ("eth2", 12)];

/// A reboot in which interfaces come one after the other, the last one first.
#[test]
fn the_order_of_arrival_decides_nothing() {
    let mut remembered = after(&nics(&THREE), &[], 1);
    let first = nics(&THREE[2..]);
    assert_eq!(ids(&boot(&first, &remembered, &[])), [("eth2", 3)]);
    remembered = after(&first, &remembered, 2);
    let second = nics(&[THREE[2], THREE[1]]);
    assert_eq!(ids(&boot(&second, &remembered, &[])), [("eth2", 3), ("eth1", 2)]);
    remembered = after(&second, &remembered, 3);
    let third = nics(&[THREE[2], THREE[1], THREE[0]]);
    assert_eq!(ids(&boot(&third, &remembered, &[])), [("eth2", 3), ("eth1", 2), ("eth0", 1)]);
}

#[test]
fn a_new_device_takes_no_id_of_one_that_is_not_there() {
    let remembered = after(&nics(&THREE), &[], 1);
    let new = nics(&[("eth9", 19), ("eth1", 11)]);
    assert_eq!(ids(&boot(&new, &remembered, &[])), [("eth9", 4), ("eth1", 2)]);
}

#[test]
fn without_an_id_that_is_nobodys_the_longest_unused_is_taken() {
    let entry = |id: u16| RememberedId {
        id: UplinkId(id),
        name: format!("gone{id}"),
        mac: None,
        last_used: if id == 77 { 5 } else { 9 },
    };
    let all: Vec<RememberedId> = (1..256).map(entry).collect();
    let host = nics(&[("eth0", 10), ("eth1", 11)]);
    assert_eq!(ids(&boot(&host, &all, &[])), [("eth0", 77), ("eth1", 1)]);
    let remembered = after(&host, &all, 10);
    assert_eq!(remembered.len(), 255);
    assert!(!remembered.iter().any(|entry| entry.name == "gone77"));
}

#[test]
fn a_rename_and_another_nic_of_the_same_name_keep_the_number() {
    let remembered = after(&nics(&THREE), &[], 1);
    let renamed = nics(&[("lan", 10), ("eth1", 11), ("eth2", 12)]);
    assert_eq!(ids(&boot(&renamed, &remembered, &[]))[0], ("lan", 1));
    let replaced = nics(&[("eth0", 99), ("eth1", 11), ("eth2", 12)]);
    assert_eq!(ids(&boot(&replaced, &remembered, &[]))[0], ("eth0", 1));
    let remembered = after(&replaced, &remembered, 2);
    assert_eq!(remembered[0].mac, Some([2, 0, 0, 0, 0, 99]));
}

#[test]
fn nics_that_swap_names_keep_their_ids() {
    let remembered = after(&nics(&THREE), &[], 1);
    let swapped = nics(&[("eth1", 10), ("eth0", 11), ("eth2", 12)]);
    assert_eq!(ids(&boot(&swapped, &remembered, &[])), [("eth1", 1), ("eth0", 2), ("eth2", 3)]);
    // Also when one of them comes first.
    let first = nics(&[("eth0", 11)]);
    assert_eq!(ids(&boot(&first, &remembered, &[])), [("eth0", 2)]);
    let remembered = after(&first, &remembered, 2);
    assert_eq!(ids(&boot(&swapped, &remembered, &[])), [("eth1", 1), ("eth0", 2), ("eth2", 3)]);
}

/// Its old owner is there under another name, without an address so far.
#[test]
fn the_name_of_a_nic_that_is_there_is_no_inheritance() {
    let remembered = after(&nics(&THREE), &[], 1);
    let mut host = nics(&[("eth0", 99), ("lan", 10)]);
    let lan = host.0.links.iter().find(|link| link.name == "lan").unwrap().ifindex;
    host.0.addresses.retain(|address| address.ifindex != lan);
    assert_eq!(ids(&boot(&host, &remembered, &[])), [("eth0", 4)]);
    let remembered = after(&host, &remembered, 2);
    assert_eq!(remembered[0].name, "lan");
    let both = nics(&[("eth0", 99), ("lan", 10)]);
    assert_eq!(ids(&boot(&both, &remembered, &[])), [("eth0", 4), ("lan", 1)]);
}

/// VLANs have the address of the device below, bonds and bridges that of a port.
#[test]
fn what_borrows_its_address_is_told_by_name() {
    let on_top = |names: &[&str]| {
        let mut host = Host::new().nic("eth0");
        for name in names {
            host = host.link(name, Some("vlan")).address(name, "192.0.2.2/24");
        }
        for link in &mut host.0.links {
            link.mac = link.mac.map(|_| [2, 0, 0, 0, 0, 10]);
        }
        host
    };
    let remembered = after(&on_top(&["eth0.10", "eth0.20"]), &[], 1);
    assert!(remembered.iter().all(|entry| entry.mac.is_none()));
    let later = on_top(&["eth0.20", "eth0.30"]);
    assert_eq!(ids(&boot(&later, &remembered, &[])), [("eth0.20", 2), ("eth0.30", 3)]);
}

#[test]
fn the_permanent_address_counts_where_there_is_one() {
    let mut host = nics(&THREE);
    for (link, last) in host.0.links.iter_mut().skip(1).zip(1..) {
        link.permanent_mac = Some([4, 0, 0, 0, 0, last]);
    }
    let remembered = after(&host, &[], 1);
    host.0.links[1].mac = Some([6; 6]);
    host.0.links[1].name = "lan".to_owned();
    assert_eq!(ids(&boot(&host, &remembered, &[]))[0], ("lan", 1));
}

/// In the same boot flows may know an id of the device that had it before.
#[test]
fn an_id_that_flows_may_know_comes_in_a_new_generation() {
    let host = nics(&THREE);
    let remembered = after(&host, &[], 1);
    let known = KnownId {
        id: UplinkId(2),
        generation: 7,
        ifindex: Ifindex(900),
        mac: Some([2, 0, 0, 0, 0, 11]),
    };
    let uplinks = boot(&host, &remembered, &[known]);
    assert_eq!((uplinks[1].id, uplinks[1].generation), (UplinkId(2), 8));
    // What is known of this boot goes before what is remembered.
    let same = KnownId { id: UplinkId(9), ifindex: uplinks[1].device.ifindex, ..known };
    let uplinks = boot(&host, &remembered, &[same]);
    assert_eq!((uplinks[1].id, uplinks[1].generation), (UplinkId(9), 7));
    let remembered = Recall { remembered: &remembered, links: &host.0.links }.updated(&uplinks, 2);
    let of_eth1: Vec<u16> =
        remembered.iter().filter(|entry| entry.name == "eth1").map(|entry| entry.id.0).collect();
    assert_eq!(of_eth1, [9], "one device, one id");
}

#[test]
fn times_alone_are_written_once_a_day() {
    let before = after(&nics(&THREE), &[], 1000);
    let later = |seconds: u64| after(&nics(&THREE), &before, 1000 + seconds);
    assert!(!differs(&before, &later(24 * 60 * 60 - 1)));
    assert!(differs(&before, &later(24 * 60 * 60)));
    let renamed = nics(&[("lan", 10), ("eth1", 11), ("eth2", 12)]);
    assert!(differs(&before, &after(&renamed, &before, 1001)));
    assert!(differs(&before, &before[1..]));
}
