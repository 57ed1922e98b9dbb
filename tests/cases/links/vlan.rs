//! VLAN devices, single and stacked: the device with the address is the uplink, the one below
//! only carries its frames.

use anyhow::Result;

use crate::second::{self, BELOW, FAR_BELOW, Found};

#[test]
fn a_vlan_device_is_an_uplink_and_the_device_below_is_none() -> Result<()> {
    let lab = second::lab("up2.100", |lab| {
        lab.host.ip(&format!("link add link {BELOW} name up2.100 type vlan id 100"))?;
        lab.router(2).namespace.ip_batch(&format!(
            "link set {FAR_BELOW} nomaster up\n\
             link add link {FAR_BELOW} name tagged type vlan id 100\n\
             link set tagged master lan up\n"
        ))
    })?;
    second::conforms(&lab, "up2.100", Found::ByItself)
}

#[test]
fn a_vlan_device_inside_a_provider_s_vlan_is_an_uplink() -> Result<()> {
    let stack = |below: &str, name: &str| {
        format!(
            "link set {below} mtu 1600 up\n\
             link add link {below} name service type vlan protocol 802.1ad id 200\n\
             link set service up\n\
             link add link service name {name} mtu 1500 type vlan id 300\n"
        )
    };
    // Two dots and the fifteen characters that a name may have.
    let device = "uplink2.200.300";
    let lab = second::lab(device, |lab| {
        lab.host.ip_batch(&stack(BELOW, device))?;
        lab.router(2).namespace.ip_batch(&format!(
            "link set {FAR_BELOW} nomaster\n{}link set tagged master lan up\n",
            stack(FAR_BELOW, "tagged"),
        ))
    })?;
    second::conforms(&lab, device, Found::ByItself)
}
