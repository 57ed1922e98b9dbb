//! Who writes down each change of addresses and rules, in the order of the kernel, and tells
//! afterwards whether an address was ever without the rule that it had.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;

use crate::netns::Namespace;
use crate::process::Process;
use crate::wait;

const DEADLINE: Duration = Duration::from_secs(60);

/// `ip monitor`, while the namespace changes.
#[derive(Debug)]
pub struct Witness<'a> {
    namespace: &'a Namespace,
    monitor: Process,
    marks: u8,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Address {
        there: bool,
        address: IpAddr,
        tentative: bool,
    },
    /// A rule of prroute's that sends a source to a table.
    Rule {
        there: bool,
        source: IpNet,
        text: String,
    },
}

/// Everything that was seen.
#[derive(Debug)]
pub struct Account(Vec<Event>);

impl<'a> Witness<'a> {
    /// Writes down what there is, then what changes.
    pub fn start(namespace: &'a Namespace) -> Result<Self> {
        let monitor = namespace.spawn(&[
            "sh",
            "-c",
            "ip -o address show; ip -4 rule show; ip -6 rule show; exec ip -o monitor address rule",
        ])?;
        let mut witness = Self { namespace, monitor, marks: 0 };
        witness.catch_up()?;
        Ok(witness)
    }

    /// Waits until it has heard of everything that happened so far: then it hears of a rule that
    /// means nothing, and that was never there before.
    fn catch_up(&mut self) -> Result<()> {
        self.marks += 1;
        let mark = format!("from 192.0.2.{} lookup main", self.marks);
        wait::until("the witness has heard a mark", DEADLINE, || {
            self.monitor.check_running()?;
            self.namespace.ip(&format!("rule add priority 32000 {mark}"))?;
            self.namespace.ip(&format!("rule del priority 32000 {mark}"))?;
            Ok(self.monitor.log().contains(&mark).then_some(()))
        })
    }

    /// Ends it.
    pub fn account(mut self) -> Result<Account> {
        self.catch_up()?;
        Account::read(&self.monitor.log())
    }
}

impl Account {
    /// From what `ip` prints.
    fn read(text: &str) -> Result<Self> {
        let events = text.lines().map(event).collect::<Result<Vec<_>>>()?;
        Ok(Self(events.into_iter().flatten().collect()))
    }

    /// An address that had a rule had one, the same or another, for as long as it was there.
    pub fn no_address_lost_its_rule(&self) -> Result<()> {
        // Whether each address had a rule before.
        let mut addresses: BTreeMap<IpAddr, bool> = BTreeMap::new();
        let mut rules: Vec<&str> = Vec::new();
        let mut sources: Vec<IpNet> = Vec::new();
        let mut had = 0;
        for event in &self.0 {
            match event {
                Event::Address { there: true, address, .. } => {
                    addresses.entry(*address).or_default();
                }
                Event::Address { there: false, address, .. } => {
                    addresses.remove(address);
                }
                Event::Rule { there: true, source, text } => {
                    rules.push(text);
                    sources.push(*source);
                }
                Event::Rule { there: false, text, .. } => {
                    if let Some(index) = rules.iter().position(|rule| rule == text) {
                        rules.remove(index);
                        sources.remove(index);
                    }
                }
            }
            for (address, ruled) in &mut addresses {
                let is = sources.iter().any(|source| source.contains(address));
                ensure!(is || !*ruled, "{address} is without a rule after {event:?}");
                had += usize::from(is && !*ruled);
                *ruled |= is;
            }
        }
        ensure!(had > 0, "no address ever had a rule");
        Ok(())
    }

    /// Whether the address had a rule when the kernel first said that it may be used. It says so
    /// after duplicate address detection; of addresses that are added by hand it says before that
    /// they are tentative.
    pub fn was_ruled_before_use(&self, wanted: IpAddr) -> bool {
        let mut sources: Vec<IpNet> = Vec::new();
        for event in &self.0 {
            match event {
                Event::Address { there: true, address, tentative: false } if *address == wanted => {
                    return sources.iter().any(|source| source.contains(&wanted));
                }
                Event::Rule { there: true, source, .. } => sources.push(*source),
                Event::Rule { there: false, source, .. } => {
                    sources.retain(|other| other != source);
                }
                Event::Address { .. } => {}
            }
        }
        false
    }
}

/// `None` for what does not matter.
fn event(line: &str) -> Result<Option<Event>> {
    let (there, text) = match line.strip_prefix("Deleted ") {
        Some(rest) => (false, rest),
        None => (true, line),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let parsed = || -> Result<Option<Event>> {
        match words.as_slice() {
            [_, _, "inet" | "inet6", net, flags @ ..] => {
                let address = net.split('/').next().unwrap_or(net).parse()?;
                let tentative = flags.contains(&"tentative");
                Ok(Some(Event::Address { there, address, tentative }))
            }
            [_, "from", source, rest @ ..]
                if text.ends_with("proto 213")
                    && !rest.contains(&"suppress_prefixlength")
                    && !rest.contains(&"to")
                    && *source != "all" =>
            {
                let source = match source.parse::<IpNet>() {
                    Ok(net) => net,
                    Err(_) => IpNet::from(source.parse::<IpAddr>()?),
                };
                Ok(Some(Event::Rule { there, source, text: text.to_owned() }))
            }
            _ => Ok(None),
        }
    };
    parsed().with_context(|| format!("read {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::Account;

    const ADDRESS: &str = "3: up2    inet 10.0.2.10/24 scope global up2\\       valid_lft forever";
    const NARROW: &str = "21030:\tfrom 10.0.2.10 iif lo lookup 21002 proto 213";
    const WIDE: &str = "21030:\tfrom 10.0.2.0/24 iif lo lookup 21002 proto 213";
    const OTHER: &str =
        "21020:\tfrom 10.0.2.10 iif lo lookup main suppress_prefixlength 1 proto 213";

    fn judge(lines: &[&str]) -> bool {
        let account = Account::read(&lines.join("\n")).expect("the lines are ip's");
        account.no_address_lost_its_rule().is_ok()
    }

    #[test]
    fn a_rule_may_be_replaced_but_not_be_missing() {
        let deleted = format!("Deleted {NARROW}");
        assert!(judge(&[ADDRESS, OTHER, NARROW, WIDE, &deleted]));
        assert!(!judge(&[ADDRESS, OTHER, NARROW, &deleted, WIDE]));
        assert!(!judge(&[ADDRESS, OTHER, NARROW, &deleted]));
        assert!(judge(&[ADDRESS, NARROW, &format!("Deleted {ADDRESS}"), &deleted]));
        assert!(!judge(&[ADDRESS, OTHER]), "nothing was to be seen");
    }

    #[test]
    fn rules_come_before_an_address_is_used() {
        let rule = "21030:\tfrom 2001:db8:2::/64 iif lo lookup 21002 proto 213";
        let address = "3: up2    inet6 2001:db8:2::7/64 scope global";
        let tentative = format!("{address} tentative dynamic");
        let judge = |lines: [&str; 3]| {
            let account = Account::read(&lines.join("\n")).expect("the lines are ip's");
            account.was_ruled_before_use("2001:db8:2::7".parse().expect("an address"))
        };
        assert!(judge([&tentative, rule, address]));
        assert!(!judge([&tentative, address, rule]));
    }
}
