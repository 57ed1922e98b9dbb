//! What the datapath has no room for.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::share::LeftOut;

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct LeftOutJson {
    /// Its id; `null`: addresses that no single uplink has.
    uplink: Option<u16>,
    /// Of the uplink.
    name: String,
    /// On-link prefixes: replies there go by the gateway.
    prefixes: usize,
    /// Routes of main, at least so many: packets with another uplink's address leave by that one.
    #[serde(default)]
    main_routes: usize,
    /// Addresses and local prefixes: replies from there follow the routing tables.
    addresses: usize,
}

impl From<&LeftOut> for LeftOutJson {
    fn from(left_out: &LeftOut) -> Self {
        let LeftOut { uplink, name, prefixes, main_routes, addresses } = left_out.clone();
        Self { uplink: uplink.map(|id| id.0), name, prefixes, main_routes, addresses }
    }
}

impl fmt::Display for LeftOutJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, prefixes, main_routes, addresses, .. } = self;
        write!(f, "{name}: left out of the datapath, for lack of room:")?;
        let mut and = "";
        if *prefixes > 0 {
            write!(f, " {prefixes} on-link prefixes (replies there go by the gateway)")?;
            and = " and";
        }
        if *main_routes > 0 {
            write!(
                f,
                "{and} {main_routes} or more routes of main (packets with another uplink's address \
                 leave by that one)"
            )?;
            and = " and";
        }
        if *addresses > 0 {
            write!(
                f,
                "{and} {addresses} addresses (replies from there follow the routing tables)"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said_with_what_comes_of_it() {
        let name = "eth1".to_owned();
        let left_out = LeftOut { name, main_routes: 7, addresses: 9, ..LeftOut::default() };
        let said = LeftOutJson::from(&left_out).to_string();
        assert!(said.contains(" 7 or more ") && said.contains(" 9 addresses "), "{said}");
    }
}
