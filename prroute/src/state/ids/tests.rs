use super::super::fixture::{Host, two_networks};
use super::*;

fn devices(count: usize) -> Vec<Discovered> {
    let mut host = Host::new();
    for n in 0..count {
        host = host.nic(&format!("eth{n}")).address(&format!("eth{n}"), "192.0.2.2/24");
    }
    host.uplinks().into_iter().map(|uplink| uplink.device).collect()
}

fn ids(uplinks: &[Uplink]) -> Vec<(u16, u16)> {
    uplinks.iter().map(|u| (u.id.0, u.generation)).collect()
}

#[test]
fn the_first_ids_are_one_two_three() {
    assert_eq!(ids(&allocate(&[], devices(3))), [(1, 1), (2, 1), (3, 1)]);
}

#[test]
fn ids_survive_a_restart_in_another_order() {
    let first = allocate(&[], devices(3));
    let known = remember(&[], &first);
    let mut reversed = devices(3);
    reversed.reverse();
    assert_eq!(ids(&allocate(&known, reversed)), [(3, 1), (2, 1), (1, 1)]);
}

/// A reboot: nothing is known, and the kernel found the devices in another order.
#[test]
fn the_kernels_order_decides_nothing() {
    let named = |uplinks: Vec<Uplink>| {
        let mut ids: Vec<_> = uplinks.into_iter().map(|u| (u.id, u.device.name)).collect();
        ids.sort();
        ids
    };
    let mut reversed = devices(12);
    reversed.reverse();
    let ids = named(allocate(&[], reversed));
    assert_eq!(ids, named(allocate(&[], devices(12))));
    assert_eq!((ids[2].1.as_str(), ids[10].1.as_str()), ("eth2", "eth10"));
}

#[test]
fn a_device_that_came_back_keeps_its_id_in_a_new_generation() {
    let known = remember(&[], &allocate(&[], devices(2)));
    let mut back = devices(2);
    back[1].ifindex = Ifindex(77);
    let again = allocate(&known, back);
    assert_eq!(ids(&again), [(1, 1), (2, 2)]);
    assert_eq!(remember(&known, &again).len(), 2);
}

#[test]
fn a_reused_ifindex_inherits_nothing() {
    let known = remember(&[], &allocate(&[], devices(2)));
    let mut other = devices(2);
    other[1].mac = Some([6; 6]);
    let uplinks = allocate(&known, other);
    assert_eq!(ids(&uplinks), [(1, 1), (3, 1)]);
    assert_eq!(remember(&known, &uplinks).len(), 3, "the lost device is still known");
}

/// VLANs of one NIC share its MAC.
#[test]
fn devices_with_one_mac_keep_their_own_ids() {
    let mut twins = devices(3);
    for twin in &mut twins {
        twin.mac = Some([2; 6]);
    }
    let known = remember(&[], &allocate(&[], twins.clone()));
    twins.remove(0);
    assert_eq!(ids(&allocate(&known, twins.clone())), [(2, 1), (3, 1)]);
    twins[1].ifindex = Ifindex(77);
    assert_eq!(ids(&allocate(&known, twins)), [(2, 1), (1, 2)], "a free twin's id, raised");
}

#[test]
fn ids_run_out_only_when_every_one_is_live() {
    let used: Vec<KnownId> = (1..256)
        .map(|n| KnownId { id: UplinkId(n), generation: 4, ifindex: Ifindex(9000), mac: None })
        .collect();
    let uplinks = allocate(&used, devices(2));
    assert_eq!(ids(&uplinks), [(1, 5), (2, 5)]);

    let device = two_networks().uplinks().remove(0).device;
    let many: Vec<Discovered> =
        (0..300).map(|n| Discovered { ifindex: Ifindex(n), mac: None, ..device.clone() }).collect();
    let (uplinks, skipped) = allocate_recalling(&[], Recall::NOTHING, many);
    assert_eq!((uplinks.len(), skipped.len()), (255, 45));
    assert!(skipped.iter().all(|skipped| skipped.reason == NO_ID_LEFT));
    assert_eq!(uplinks.last().map(|u| u.id), Some(UplinkId(255)));
}

fn named(uplinks: &[Uplink]) -> Vec<(KnownId, &str)> {
    uplinks.iter().map(|uplink| (uplink.into(), uplink.device.name.as_str())).collect()
}

/// Bonds take another port's MAC address, administrators and privacy settings change it.
#[test]
fn another_mac_address_on_the_same_interface_keeps_the_id() {
    let host = two_networks();
    let before = host.uplinks();
    let changed = host.change("eth1", |link| link.mac = Some([2, 0, 0, 0, 0, 0x77]));
    let mut known = remember(&[], &before);
    let found = || changed.uplinks().into_iter().map(|uplink| uplink.device).collect();
    assert_eq!(ids(&allocate(&known, found())), [(1, 1), (3, 1)], "another device for all we know");
    follow_macs(&mut known, &named(&before), &changed.0.links);
    assert_eq!(ids(&allocate(&known, found())), [(1, 1), (2, 1)]);
}

/// A reused index inherits nothing.
#[test]
fn another_device_with_the_same_index_is_no_change_of_mac_address() {
    let host = two_networks();
    let before = host.uplinks();
    let mut known = remember(&[], &before);
    let unchanged = known.clone();
    let other = host.change("eth1", |link| {
        link.mac = Some([2, 0, 0, 0, 0, 0x77]);
        link.name = "eth7".to_owned();
    });
    follow_macs(&mut known, &named(&before), &other.0.links);
    assert_eq!(known, unchanged);
    follow_macs(&mut known, &[], &other.0.links);
    assert_eq!(known, unchanged, "nothing is known of the time before");
}
