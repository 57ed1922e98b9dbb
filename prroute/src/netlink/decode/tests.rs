use netlink_packet_route::link::{Inet6DevConf, LinkLayerType};

use super::*;

fn of(link_layer_type: LinkLayerType, attributes: Vec<LinkAttribute>) -> Link {
    let mut message = LinkMessage::default();
    message.header.link_layer_type = link_layer_type;
    message.attributes = attributes;
    link(message)
}

#[test]
fn a_link_has_its_link_layer_and_only_ethernet_a_mac_address() {
    let of = |kind, length| of(kind, vec![LinkAttribute::Address(vec![2; length])]);
    let ethernet = of(LinkLayerType::Ether, 6);
    assert_eq!((ethernet.link_layer, ethernet.mac), (LinkLayer::Ethernet, Some([2; 6])));
    let infiniband = of(LinkLayerType::Infiniband, 20);
    assert_eq!((infiniband.link_layer, infiniband.mac), (LinkLayer::Other(32), None));
    assert!(infiniband.has_neighbours());
    for kind in [LinkLayerType::None, LinkLayerType::Ppp, LinkLayerType::Ip6gre] {
        let tunnel = of(kind, 0);
        assert_eq!((tunnel.link_layer, tunnel.has_neighbours()), (LinkLayer::None, false));
    }
}

#[test]
fn a_link_tells_whether_the_kernel_accepts_router_advertisements_there() {
    let accepts = |accept_ra| {
        let mut settings = Inet6DevConf::default();
        settings.accept_ra = accept_ra;
        let of_six = AfSpecUnspec::Inet6(vec![AfSpecInet6::DevConf(settings)]);
        let families = vec![AfSpecUnspec::Inet(Vec::new()), of_six];
        of(LinkLayerType::Ether, vec![LinkAttribute::AfSpecUnspec(families)]).accepts_ra
    };
    assert_eq!([0, 1, 2].map(accepts), [false, true, true]);
    assert!(!of(LinkLayerType::Ether, Vec::new()).accepts_ra, "no IPv6 there");
}
