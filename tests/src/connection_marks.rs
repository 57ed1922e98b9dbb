//! What administrators do without prroute: marks of connections, and a table for each uplink.

use anyhow::Result;

use crate::addressing::{self, Family};
use crate::lab::Lab;

/// Has every reply of these families leave by the uplink that its connection came in on.
pub fn set_up(lab: &Lab, families: &[Family]) -> Result<()> {
    let mut marks = String::new();
    for router in &lab.routers {
        let n = router.number;
        let (device, table) = (addressing::device(n), Lab::table(n));
        marks += &format!("iifname {device} ct state new ct mark set {n}\n");
        for &family in families {
            let (option, gateway) = (family.option(), addressing::gateway(n, family));
            lab.host.ip(&format!(
                "{option} route add default via {gateway} dev {device} table {table}"
            ))?;
            lab.host.ip(&format!("{option} rule add fwmark {n} lookup {table}"))?;
        }
    }
    lab.host.nft(&format!(
        "table inet marks {{
            chain prerouting {{ type filter hook prerouting priority mangle; {marks} }}
            chain output {{ type route hook output priority mangle; meta mark set ct mark; }}
        }}"
    ))?;
    Ok(())
}
