use super::super::fixture::{Host, net, two_networks};
use super::super::locals::{local_addresses, local_prefixes};
use super::*;

#[test]
fn a_small_party_gets_all_it_wants_and_large_ones_divide_the_rest() {
    assert_eq!(shares(&[6_000, 3], 4_096), [4_093, 3]);
    assert_eq!(shares(&[6_000, 3, 5_000], 4_097), [2_047, 3, 2_047]);
    assert_eq!(shares(&[1, 2, 3], 6), [1, 2, 3]);
    assert!(shares(&[], 6).is_empty());
    let shares = shares(&[100; 255], 4_096);
    assert!(shares.iter().all(|share| (16..=17).contains(share)), "{shares:?}");
}

fn prefix(n: usize) -> String {
    format!("2001:db8:{:x}:{:x}::/64", 0x1000 + n / 0x1_0000, n % 0x1_0000)
}

/// The second uplink's segment has so many prefixes more.
fn crowded(count: usize) -> Host {
    (0..count).fold(two_networks(), |host, n| host.route("eth1", &prefix(n), None))
}

fn limited(host: &Host) -> (Vec<Uplink>, Vec<LocalAddress>, Vec<LeftOut>) {
    let mut uplinks = host.uplinks();
    let mut locals = local_addresses(&host.0, &uplinks);
    let left_out = limit(&mut uplinks, &mut locals, &mut local_prefixes(&host.0));
    (uplinks, locals, left_out)
}

#[test]
fn what_fits_is_left_alone() {
    let host = crowded(100);
    let (uplinks, locals, left_out) = limited(&host);
    assert_eq!(uplinks, host.uplinks());
    assert_eq!(locals, local_addresses(&host.0, &uplinks));
    assert_eq!(left_out, []);
}

#[test]
fn thousands_of_prefixes_push_out_neither_another_uplinks_nor_the_own_network() {
    let host = crowded(6_000);
    let (uplinks, _, left_out) = limited(&host);
    let [first, second] = &uplinks[..] else { panic!("{} uplinks", uplinks.len()) };
    assert_eq!(first, &host.uplinks()[0]);
    // The announced ones are before it in order.
    for own in ["192.168.2.0/24", "2001:db8:2::/64"] {
        assert!(second.device.on_link.contains(&net(own)), "{own}");
    }
    assert!(second.device.on_link.is_sorted());
    let of_v6 = |uplink: &Uplink| {
        uplink.device.on_link.iter().filter(|net| Family::of_net(net) == Family::V6).count()
    };
    assert_eq!(of_v6(first) + of_v6(second), MAX_ON_LINK as usize);
    let prefixes = 6_002 - MAX_ON_LINK as usize;
    let expected = LeftOut {
        uplink: Some(second.id),
        name: "eth1".to_owned(),
        prefixes,
        ..LeftOut::default()
    };
    assert_eq!(left_out, [expected]);
}

#[test]
fn thousands_of_addresses_push_out_no_other_owners() {
    let address = |n: usize| format!("10.{}.{}.1/32", n / 256, n % 256);
    let of_host = |n: usize| format!("10.{}.{}.2/32", n / 256, n % 256);
    let host = (0..9_000).fold(two_networks(), |host, n| host.address("eth1", &address(n)));
    let host = (0..50).fold(host, |host, n| host.address("lo", &of_host(n)));
    let (uplinks, locals, left_out) = limited(&host);
    let count = |owner: Option<UplinkId>| {
        locals.iter().filter(|l| l.owner == owner && l.address.is_ipv4()).count()
    };
    assert_eq!(count(Some(uplinks[0].id)), 1);
    assert_eq!(count(None), 50);
    assert_eq!(count(Some(uplinks[1].id)), MAX_ADDRESSES as usize - 51);
    let addresses = 9_001 + 51 - MAX_ADDRESSES as usize;
    let name = "eth1".to_owned();
    let expected = LeftOut { uplink: Some(uplinks[1].id), name, addresses, ..LeftOut::default() };
    assert_eq!(left_out, [expected]);
}

/// Both uplinks of a host whose own sources the datapath keeps; main has `count` routes over the second.
fn with_main_routes(count: usize) -> Vec<Uplink> {
    let mut uplinks = two_networks().uplinks();
    let mut nets: Vec<IpNet> = (0..count).map(|n| net(&prefix(n))).collect();
    nets.extend([net("10.0.0.0/8"), net("192.168.2.0/24"), net("2001:db8::/32")]);
    nets.sort();
    uplinks[1].device.main_routes = nets;
    uplinks[0].device.main_routes = vec![net("192.168.1.0/24"), net("2001:db8:77::/48")];
    uplinks
}

#[test]
fn routes_of_main_that_are_facts_in_line_need_no_room() {
    let mut uplinks = with_main_routes(0);
    assert_eq!(limit(&mut uplinks, &mut Vec::new(), &mut Vec::new()), []);
    assert_eq!(uplinks[0].device.main_routes, [net("2001:db8:77::/48")]);
    assert_eq!(uplinks[1].device.main_routes, [net("10.0.0.0/8"), net("2001:db8::/32")]);
}

#[test]
fn thousands_of_main_routes_push_out_neither_another_uplinks_nor_the_widest() {
    let mut uplinks = with_main_routes(20_000);
    let left_out = limit(&mut uplinks, &mut Vec::new(), &mut Vec::new());
    assert_eq!(uplinks[0].device.main_routes, [net("2001:db8:77::/48")]);
    let kept = &uplinks[1].device.main_routes;
    assert!(kept.is_sorted() && kept.contains(&net("2001:db8::/32")));
    assert!(kept.contains(&net("10.0.0.0/8")), "the other family's");
    assert_eq!(kept.len(), MAX_MAIN_ROUTES as usize);
    let main_routes = 20_002 - MAX_MAIN_ROUTES as usize;
    let (uplink, name) = (Some(uplinks[1].id), "eth1".to_owned());
    let expected = LeftOut { uplink, name, main_routes, ..LeftOut::default() };
    assert_eq!(left_out, [expected]);
}
