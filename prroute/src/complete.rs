//! What the shell may complete: instances, interfaces, addresses and the words of a filter.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap_complete::engine::CompletionCandidate;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nameindex;

use crate::runtime::RunDirectory;

/// What a filter of `prroute flows` is made of.
const CONDITIONS: [(&str, &str); 9] = [
    ("src", "the local address"),
    ("dst", "the remote address"),
    ("sport", "the local port"),
    ("dport", "the remote port"),
    ("uplink", "the uplink that the flow is bound to"),
    ("state", "live, new, ok, fall, fin, idle or all"),
    ("and", "both"),
    ("or", "either"),
    ("not", "the opposite"),
];

/// What `prroute monitor` understands.
const MONITORED: [(&str, &str); 22] = [
    ("uplink", "uplinks and their gateways"),
    ("heal", "what others removed, and what was put back"),
    ("flow", "flows that are opened, confirmed, moved"),
    ("packet", "single packets"),
    ("dev", "on this uplink, or for it"),
    ("host", "either address"),
    ("local", "the local address"),
    ("remote", "the remote address"),
    ("port", "either port"),
    ("sport", "the local port"),
    ("dport", "the remote port"),
    ("tcp", "TCP only"),
    ("udp", "UDP only"),
    ("icmp", "ICMP only"),
    ("sctp", "SCTP only"),
    ("ip", "IPv4 only"),
    ("ip6", "IPv6 only"),
    ("verdict", "what became of it"),
    ("moved", "to another uplink"),
    ("passed", "the kernel's way"),
    ("count", "so many, then end"),
    ("for", "for so long, then end"),
];

/// What a question of `prroute explain` is made of.
const QUESTION: [(&str, &str); 8] = [
    ("tcp", "a connection that begins"),
    ("udp", "a datagram"),
    ("icmp", "an echo request"),
    ("sctp", "an association that begins"),
    ("flow", "a flow that exists: LOCAL:PORT CLIENT:PORT"),
    ("from", "the client's address"),
    ("to", "the address that is asked"),
    ("iif", "the uplink that the request comes in by"),
];

/// Those that begin with what is there.
fn beginning(
    current: &OsStr,
    all: impl IntoIterator<Item = CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let begins = |it: &CompletionCandidate| {
        it.get_value().to_str().is_some_and(|value| value.starts_with(current))
    };
    all.into_iter().filter(begins).collect()
}

fn candidate(text: impl Into<OsString>) -> CompletionCandidate {
    CompletionCandidate::new(text)
}

fn interfaces() -> Vec<CompletionCandidate> {
    let named = if_nameindex().ok();
    let names = named.iter().flat_map(|all| all.iter());
    names.filter_map(|interface| interface.name().to_str().ok().map(candidate)).collect()
}

fn addresses() -> Vec<CompletionCandidate> {
    let mut all = BTreeSet::new();
    for address in getifaddrs().into_iter().flatten().filter_map(|it| it.address) {
        all.extend(address.as_sockaddr_in().map(|it| it.ip().to_string()));
        all.extend(address.as_sockaddr_in6().map(|it| it.ip().to_string()));
    }
    all.into_iter().map(candidate).collect()
}

/// Instances that have a directory.
pub(crate) fn instances(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, RunDirectory::instances().iter().map(|it| candidate(it.name())))
}

/// `dev UPLINK`.
pub(crate) fn device(current: &OsStr) -> Vec<CompletionCandidate> {
    let dev = candidate("dev").help(Some("an interface alone".into()));
    beginning(current, interfaces().into_iter().chain([dev]))
}

/// A filter of `prroute flows`.
pub(crate) fn filter(current: &OsStr) -> Vec<CompletionCandidate> {
    conditions(current, &CONDITIONS)
}

/// The words of `prroute monitor`.
pub(crate) fn monitor(current: &OsStr) -> Vec<CompletionCandidate> {
    conditions(current, &MONITORED)
}

fn conditions(current: &OsStr, words: &[(&str, &'static str)]) -> Vec<CompletionCandidate> {
    let condition =
        |(word, help): &(&str, &'static str)| candidate(*word).help(Some((*help).into()));
    let conditions = words.iter().map(condition);
    beginning(current, conditions.chain(interfaces()).chain(addresses()))
}

/// A question of `prroute explain`.
pub(crate) fn explain(current: &OsStr) -> Vec<CompletionCandidate> {
    let word = |(word, help): (&str, &'static str)| candidate(word).help(Some(help.into()));
    let words = QUESTION.into_iter().map(word);
    beginning(current, words.chain(interfaces()).chain(addresses()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(all: &[CompletionCandidate]) -> Vec<&str> {
        all.iter().filter_map(|it| it.get_value().to_str()).collect()
    }

    #[test]
    fn what_begins_so_is_proposed() {
        assert_eq!(values(&filter("sp".as_ref())), ["sport"]);
        assert!(values(&filter("127.".as_ref())).contains(&"127.0.0.1"));
        assert!(values(&device("".as_ref())).contains(&"lo"));
        assert_eq!(values(&device("de".as_ref())), ["dev"]);
        assert_eq!(values(&explain("ii".as_ref())), ["iif"]);
    }
}
