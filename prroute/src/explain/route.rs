//! The route that the kernel takes for the reply.

use std::net::IpAddr;

use nix::errno::Errno;

use super::step::{Found, Stage, Step};
use crate::netlink::RouteAnswer;
use crate::state::observed::Family;
use crate::state::uplink::Ifindex;

/// What the kernel answers about the reply.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// With the next hop that it takes now.
    pub(crate) route: Result<RouteAnswer, Errno>,
    /// As it stands in its table.
    pub(crate) entry: Option<RouteAnswer>,
    /// Without a source, where a socket may send so.
    pub(crate) without_source: Option<RouteAnswer>,
}

/// The reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) source: IpAddr,
    pub(crate) to: IpAddr,
    /// The server names no address of its own, and is to name the one that was asked itself.
    pub(crate) source_is_open: bool,
}

/// `device` names interfaces.
pub(crate) fn judge(reply: Reply, answers: &Answers, device: impl Fn(Ifindex) -> String) -> Step {
    const STAGE: Stage = Stage::Route;
    let Reply { source, to, source_is_open } = reply;
    let route = match &answers.route {
        Ok(route) if route.is_local() => {
            return Step::stop(STAGE, format!("{to} is an address of this host"))
                .cause(format!("the reply to {to} does not leave: it is an address of this host"));
        }
        Ok(route) => route,
        Err(errno) => return refused(reply, *errno),
    };
    let destination = answers.entry.as_ref().map(|entry| entry.destination);
    let destination = match destination {
        Some(net) if net == Family::of(&to).any() => "default".to_owned(),
        Some(net) => net.to_string(),
        None => to.to_string(),
    };
    let via = route.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
    let name = route.device.map_or_else(|| "no device".to_owned(), &device);
    let detail = format!("{destination}{via} dev {name}");
    let other = answers
        .without_source
        .as_ref()
        .filter(|other| source_is_open && other.source.is_some_and(|chosen| chosen != source));
    let step = match other.and_then(|other| other.source) {
        Some(chosen) => {
            let detail = format!(
                "{detail}; a server that names no source would answer from {chosen}, by another route"
            );
            Step::new(STAGE, Found::Warn, detail).object("without_source", chosen)
        }
        None => Step::ok(STAGE, detail),
    };
    step.object("device", name).object("table", route.table)
}

fn refused(reply: Reply, errno: Errno) -> Step {
    let Reply { source, to, .. } = reply;
    let (detail, remedy) = match errno {
        Errno::ENETUNREACH => (
            format!("no route from {source} to {to}"),
            format!("give the host a route to {to}, as a default route"),
        ),
        Errno::EHOSTUNREACH => (
            format!("the kernel does not route {to} from {source}: unreachable"),
            "see `ip route show table all`, and forwarding where the reply is a guest's".to_owned(),
        ),
        Errno::EACCES => (
            format!("a rule or route prohibits {to} from {source}"),
            "see `ip rule` and `ip route show table all type prohibit`".to_owned(),
        ),
        Errno::EINVAL | Errno::EXDEV => (
            format!("the kernel refuses packets from {source} to {to}"),
            "see that the address is there, and rp_filter where the reply is a guest's".to_owned(),
        ),
        other => (format!("the kernel refuses it: {other}"), "see `ip rule`".to_owned()),
    };
    Step::stop(Stage::Route, detail.clone()).cause(detail).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{ip, net};
    use crate::state::observed::RouteKind;

    fn answer(gateway: Option<&str>, source: Option<&str>) -> RouteAnswer {
        RouteAnswer {
            kind: RouteKind::Unicast,
            device: Some(Ifindex(2)),
            gateway: gateway.map(ip),
            source: source.map(ip),
            table: 254,
            destination: net("0.0.0.0/0"),
            metric: 0,
            mtu: None,
        }
    }

    fn judged(source_is_open: bool, answers: &Answers) -> Step {
        let reply = Reply { source: ip("198.51.100.10"), to: ip("203.0.113.11"), source_is_open };
        judge(reply, answers, |ifindex| format!("eth{}", ifindex.0 - 2))
    }

    #[test]
    fn a_route_reads_as_ip_prints_it() {
        let route = answer(Some("10.71.0.1"), None);
        let entry = Some(route.clone());
        let without_source = Some(answer(Some("10.71.0.1"), Some("10.71.0.2")));
        let answers = Answers { route: Ok(route), entry, without_source };
        assert_eq!(judged(false, &answers).detail, "default via 10.71.0.1 dev eth0");
        let open = judged(true, &answers);
        assert_eq!(open.found, Found::Warn);
        assert!(open.detail.contains("would answer from 10.71.0.2"), "{open:?}");
    }

    #[test]
    fn a_reply_without_a_route_ends_here() {
        let none = Answers { route: Err(Errno::ENETUNREACH), entry: None, without_source: None };
        let step = judged(false, &none);
        assert_eq!(step.found, Found::Stop);
        assert_eq!(step.detail, "no route from 198.51.100.10 to 203.0.113.11");
    }
}
