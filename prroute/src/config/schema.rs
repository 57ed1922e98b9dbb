//! The configuration's JSON Schema, for editors and for those who generate configurations.

use prroute_common::flow::MIN_FLOWS_PER_CPU;
use serde_json::{Value, json};

use super::Config;
use super::load::{
    FIRST_TABLE, MAX_DESTINATIONS, MAX_ENTRIES, MAX_FLOWS, MAX_GATEWAY_PROBE, MAX_GATEWAYS,
    MAX_PRIORITY, MAX_TABLE,
};

/// What a name or pattern of an interface looks like.
const NAME: &str = r"^[^/ \t\n]+$";
const MAC: &str = "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$";

/// The schema of one file. TOML's values are taken as JSON's.
pub fn schema() -> Value {
    let default = serde_json::to_value(Config::default()).unwrap_or_default();
    let with_default = |key: &str, mut property: Value| {
        property["default"] = default[key].clone();
        property
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "prroute configuration",
        "description": "A file of /etc/prroute/prroute.toml and /etc/prroute/conf.d/*.toml.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "mode": with_default("mode", one_of(
                "Whether replies are moved to the uplink that their request came in on, or only \
                 those counted that leave by another one.",
                &["enforce", "observe"],
            )),
            "on-stop": with_default("on-stop", one_of(
                "What becomes of programs, rules and tables when the daemon is stopped.",
                &["keep", "undo"],
            )),
            "attach": with_default("attach", one_of(
                "How the programs are attached.",
                &["auto", "tcx", "clsact"],
            )),
            "flows": number(
                "Conversations remembered per address family, half of them TCP. Without it as many \
                 as fit 1 % of the machine's memory, at most 262144.",
                MIN_FLOWS_PER_CPU,
                MAX_FLOWS,
            ),
            "exclude": with_default("exclude", list(
                MAX_ENTRIES,
                "Interfaces that are never uplinks, by name, altname or pattern.",
                json!({ "type": "string", "pattern": NAME }),
            )),
            "rule-priority": with_default("rule-priority", number(
                "The first of the 1000 rule priorities that are prroute's. Written, it is kept to \
                 where a rule of others comes before it and catches everything.",
                1,
                MAX_PRIORITY,
            )),
            "table": with_default("table", number(
                "The first of the 1000 routing tables that are prroute's.",
                FIRST_TABLE,
                MAX_TABLE,
            )),
            "rp-filter": with_default("rp-filter", one_of(
                "Strict reverse-path filtering of uplinks: it is made loose, made loose again whenever \
                 somebody makes it strict, or left as it is.",
                &["loosen", "enforce", "leave"],
            )),
            "own-source": with_default("own-source", one_of(
                "What sends packets of the host's own by the uplink that has their source address: \
                 routing rules, or the egress program, without rules.",
                &["rules", "datapath"],
            )),
            "on-down": with_default("on-down", on_down()),
            "udp-source": with_default("udp-source", json!({
                "description": "UDP servers that are bound to no address answer from the \
                                address they were asked on.",
                "type": "boolean",
            })),
            "gateway-probe": with_default("gateway-probe", number(
                "Seconds between two questions to each gateway whether it is still there. 0: none.",
                0,
                MAX_GATEWAY_PROBE,
            )),
            "bind-device": with_default("bind-device", json!({
                "description": "Packets of applications that are bound to an uplink's device \
                                leave by its gateway.",
                "type": "boolean",
            })),
            "uplink": with_default("uplink", list(
                MAX_ENTRIES,
                "Interfaces that must be uplinks, and settings of uplinks.",
                uplink(),
            )),
        },
    })
}

fn uplink() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "oneOf": [{ "required": ["name"] }, { "required": ["mac"] }],
        "properties": {
            "name": {
                "description": "Name, altname, or pattern of either.",
                "type": "string",
                "pattern": NAME,
            },
            "mac": { "description": "MAC address.", "type": "string", "pattern": MAC },
            "gateway": list(
                MAX_GATEWAYS,
                "Gateways in order of preference, before those that routes name.",
                json!({
                    "type": "string",
                    "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }],
                }),
            ),
            "reply": one_of(
                "To which next hop replies are sent.",
                &["auto", "gateway", "last-hop", "off"],
            ),
            "on-down": on_down(),
            "table": number(
                "Its routing table: one of the last 744 of prroute's.",
                FIRST_TABLE,
                u32::MAX,
            ),
            "to": list(
                MAX_DESTINATIONS,
                "Destinations that are routed over this uplink: prefixes or addresses. Packets \
                 whose source is another uplink's address are not concerned.",
                json!({ "type": "string" }),
            ),
        },
    })
}

fn on_down() -> Value {
    one_of(
        "What becomes of an uplink's packets while it has no carrier or no way out.",
        &["route", "hold"],
    )
}

fn one_of(description: &str, values: &[&str]) -> Value {
    json!({ "description": description, "type": "string", "enum": values })
}

fn number(description: &str, minimum: u32, maximum: u32) -> Value {
    json!({
        "description": description,
        "type": "integer",
        "minimum": minimum,
        "maximum": maximum,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "json! values are made in place")]
fn list(most: usize, description: &str, items: Value) -> Value {
    json!({ "description": description, "type": "array", "maxItems": most, "items": items })
}

#[cfg(test)]
mod tests;
