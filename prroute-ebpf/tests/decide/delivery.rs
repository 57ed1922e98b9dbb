//! How deliveries are numbered, for those who are told of them.

use prroute_common::reason::Reason;
use prroute_ebpf::decide::deliver::Delivery;

#[test]
fn every_delivery_has_a_number_of_its_own_that_is_read_back() {
    let plain = [
        Delivery::Stay,
        Delivery::Direct,
        Delivery::SubnetGateway,
        Delivery::Gateway,
        Delivery::Device,
        Delivery::Router,
        Delivery::Readdress,
    ];
    let reasons = Reason::ALL
        .iter()
        .flat_map(|reason| [Delivery::Leave(*reason), Delivery::LeaveOrHold(*reason)]);
    let mut codes = Vec::new();
    for delivery in plain.into_iter().chain(reasons) {
        let code = delivery.code();
        assert_eq!(Delivery::from_code(code), Some(delivery));
        assert!(code != 0 && !codes.contains(&code), "{delivery:?}: {code}");
        codes.push(code);
    }
    assert_eq!(Delivery::from_code(0), None);
    assert_eq!(Delivery::from_code(u8::MAX), None);
}
