//! Whether the request's destination is translated: to a container, or to another address of the host.

use std::net::SocketAddr;

use super::netfilter::{Place, Translated};
use super::step::{Found, Stage, Step};

/// What says to whom a request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nat {
    /// Connection tracking knows the flow: who answers it.
    pub(crate) tracked: Option<SocketAddr>,
    /// Why it could not be asked.
    pub(crate) untold: Option<String>,
    /// A rule translates what opens a flow.
    pub(crate) by_rule: Option<Translated>,
    /// One that may, to whom is not known here.
    pub(crate) perhaps: Option<Place>,
    /// Rules that are not read.
    pub(crate) unread: Option<String>,
}

impl Nat {
    /// Who gets what is sent to `local`.
    pub(crate) fn server(&self, local: SocketAddr) -> SocketAddr {
        let by_rule = self.by_rule.as_ref().map(|translated| translated.to);
        self.tracked.or(by_rule).unwrap_or(local)
    }
}

pub(crate) fn judge(nat: &Nat, local: SocketAddr) -> Step {
    const STAGE: Stage = Stage::Nat;
    // To whom a request goes decides all that follows.
    let unknown = |detail: String| Step::new(STAGE, Found::Unknown, detail).decides_the_rest();
    let nothing = || Step::new(STAGE, Found::Nothing, "no DNAT");
    match nat {
        Nat { tracked: Some(server), .. } if *server == local => {
            Step::new(STAGE, Found::Nothing, "no DNAT (conntrack knows the flow)")
        }
        Nat { tracked: Some(server), .. } => {
            let detail = format!("DNAT to {server} (conntrack knows the flow)");
            Step::ok(STAGE, detail).object("to", server)
        }
        Nat { by_rule: Some(Translated { to, by }), .. } => {
            Step::ok(STAGE, format!("DNAT to {to} by {by}")).object("to", to).object("rule", by)
        }
        Nat { perhaps: Some(place), .. } => {
            unknown(format!("{place} may translate it, to whom is not known here"))
        }
        Nat { unread: Some(why), .. } => unknown(why.clone()),
        Nat { untold: Some(why), .. } => unknown(format!("conntrack: {why}")),
        _ => nothing(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_conntrack_knows_counts_before_rules() {
        let local = end("198.51.100.10:8080");
        let (table, chain) = ("nat".to_owned(), "pre".to_owned());
        let by = Place { family: "ip", table, chain, handle: Some(3) };
        let to = end("172.17.0.2:80");
        let by_rule = Some(Translated { to, by: by.clone() });
        let nat = Nat { by_rule: by_rule.clone(), ..Nat::default() };
        assert_eq!(
            judge(&nat, local).detail,
            "DNAT to 172.17.0.2:80 by nft rule ip nat pre handle 3"
        );
        assert_eq!(nat.server(local), to);
        let tracked = Nat { tracked: Some(local), by_rule, ..Nat::default() };
        assert_eq!(judge(&tracked, local).found, Found::Nothing);
        assert_eq!(tracked.server(local), local);
        assert_eq!(judge(&Nat::default(), local).detail, "no DNAT");
        let perhaps = Nat { perhaps: Some(by), ..Nat::default() };
        assert_eq!(judge(&perhaps, local).found, Found::Unknown);
    }
}
