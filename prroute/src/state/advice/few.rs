//! Too few uplinks, and whether the configuration is why.

use crate::config::Config;
use crate::state::discover::discover;
use crate::state::gateways::Health;
use crate::state::observed::Observed;
use crate::state::uplink::Uplink;

/// With fewer than two uplinks there is nothing to do.
pub(super) fn too_few(config: &Config, observed: &Observed, uplinks: &[Uplink]) -> Option<String> {
    let what = match uplinks {
        [] => "no uplink",
        [_] => "one uplink",
        _ => return None,
    };
    let left: Vec<&str> = uplinks.iter().map(|uplink| uplink.device.name.as_str()).collect();
    let all = Config { exclude: Vec::new(), ..config.clone() };
    let (all, _) = discover(&all, observed, &Health::default());
    let all: Vec<&str> = all.iter().map(|device| device.name.as_str()).collect();
    let why = match left.as_slice() {
        _ if all.len() == left.len() => match left.first() {
            None => format!("{what} is found on this host"),
            Some(name) => format!("{what} is found on this host ({name})"),
        },
        [] => format!("exclude matches all interfaces that could be uplinks ({})", all.join(", ")),
        [left, ..] => format!("exclude leaves {left} alone of {}", all.join(" and ")),
    };
    Some(format!("{why}: prroute changes nothing until there are two uplinks"))
}
