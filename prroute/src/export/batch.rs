//! Lines for `ip -batch`, and a script that feeds them to it.

use super::Static;
use crate::state::observed::Family;

/// Of one family: routes first, so that no rule looks an empty table up.
pub(crate) fn batch(all: &Static, family: Family) -> String {
    let mut text = String::new();
    for route in all.routes.iter().filter(|route| route.family() == family) {
        text.push_str(&format!("route add {route}\n"));
    }
    for rule in all.rules.iter().filter(|rule| rule.family == family) {
        text.push_str(&format!("rule add {rule}\n"));
    }
    text
}

/// Of both families, for a shell.
pub(crate) fn script(all: &Static) -> String {
    let mut text = "#!/bin/sh\nset -e\n".to_owned();
    for (family, option) in [(Family::V4, "-4"), (Family::V6, "-6")] {
        let lines = batch(all, family);
        if !lines.is_empty() {
            text.push_str(&format!("ip {option} -batch - <<'END'\n{lines}END\n"));
        }
    }
    text
}
