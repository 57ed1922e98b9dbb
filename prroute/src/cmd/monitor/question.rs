//! The words of `prroute monitor`: what is shown, conditions, and when it ends.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use prroute_common::address::{Address6, address4, address6};
use prroute_common::trace::{Filter, Verdict};
use prroute_common::uplink::Prefix;

use crate::cmd::flows::FilterError;

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    pub(super) uplink: bool,
    pub(super) heal: bool,
    pub(super) flow: bool,
    pub(super) packet: bool,
}

impl Kinds {
    /// The daemon says it.
    pub(super) const fn needs_events(self) -> bool {
        self.uplink || self.heal
    }

    /// The programs say it.
    pub(super) const fn needs_programs(self) -> bool {
        self.flow || self.packet
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) kinds: Kinds,
    /// But for the uplink.
    pub(super) filter: Filter,
    /// By name.
    pub(super) device: Option<String>,
    /// So many lines, and no more.
    pub(super) count: Option<u64>,
    /// For so long, and no longer.
    pub(super) time: Option<Duration>,
}

const CONDITIONS: &str = "a condition (dev UPLINK, host, local or remote ADDRESS[/LENGTH], port, sport or \
                          dport N, tcp, udp, icmp, sctp, ip, ip6, verdict WORD), count N or for TIME";

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

impl Question {
    /// # Errors
    ///
    /// When the words are none.
    pub(super) fn parse(words: &[String]) -> Result<Self, FilterError> {
        let mut parser = Parser { words, next: 0, has_condition: false, of_packets: None };
        let mut question = Self {
            kinds: parser.kinds(),
            filter: Filter::NONE,
            device: None,
            count: None,
            time: None,
        };
        while let Some(word) = parser.word() {
            parser.one(word, &mut question)?;
        }
        let is_bounded =
            parser.has_condition || question.count.is_some() || question.time.is_some();
        if question.kinds.packet && !is_bounded {
            return Err(parser.error(
                parser.next,
                "of all packets there may be millions: name a condition (host 203.0.113.9), \
                 count 20 or for 10s"
                    .to_owned(),
            ));
        }
        if let Some(at) = parser.of_packets.filter(|_| !question.kinds.needs_programs()) {
            let word = &words[at];
            let message = format!(
                "{word:?} is about packets, which are not asked for: `monitor packet {word} ..`, or \
                 `monitor flow {word} ..`"
            );
            return Err(parser.error(at, message));
        }
        question.filter.changes = u32::from(!question.kinds.packet);
        Ok(question)
    }
}

struct Parser<'a> {
    words: &'a [String],
    next: usize,
    has_condition: bool,
    /// The place of the first condition that only packets have.
    of_packets: Option<usize>,
}

impl<'a> Parser<'a> {
    fn kinds(&mut self) -> Kinds {
        let mut kinds = Kinds::default();
        while let Some(word) = self.words.get(self.next) {
            match word.as_str() {
                "uplink" => kinds.uplink = true,
                "heal" => kinds.heal = true,
                "flow" => kinds.flow = true,
                "packet" => kinds.packet = true,
                _ => break,
            }
            self.next += 1;
        }
        if kinds == Kinds::default() {
            (kinds.uplink, kinds.heal) = (true, true);
        }
        kinds
    }

    fn word(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// What is wrong with the word at this place.
    fn error(&self, at: usize, message: String) -> FilterError {
        let before: usize = self.words.iter().take(at).map(|word| word.len() + 1).sum();
        FilterError::new(self.words.join(" "), before, message)
    }

    /// What is wrong with the last word.
    fn wrong(&self, message: String) -> FilterError {
        self.error(self.next.saturating_sub(1), message)
    }

    fn expect(&mut self, what: &str) -> Result<&'a str, FilterError> {
        self.word().ok_or_else(|| self.error(self.next, format!("{what} is missing at the end")))
    }

    fn one(&mut self, word: &str, question: &mut Question) -> Result<(), FilterError> {
        let filter = &mut question.filter;
        let protocol = match word {
            "tcp" => Some(TCP),
            "udp" => Some(UDP),
            "sctp" => Some(SCTP),
            _ => None,
        };
        self.has_condition |= !matches!(word, "count" | "for");
        if !matches!(word, "count" | "for" | "dev" | "and") {
            self.of_packets = self.of_packets.or(Some(self.next - 1));
        }
        match word {
            _ if protocol.is_some() => filter.protocol = protocol.unwrap_or_default(),
            "icmp" if filter.version == 6 => filter.protocol = ICMPV6,
            "icmp" => (filter.protocol, filter.version) = (ICMP, 4),
            "icmp6" | "ipv6-icmp" => (filter.protocol, filter.version) = (ICMPV6, 6),
            "ip" | "ip4" => self.family(filter, 4)?,
            "ip6" => self.family(filter, 6)?,
            "dev" => question.device = Some(self.expect("the name of an uplink")?.to_owned()),
            "host" => filter.host = self.prefix(filter)?,
            "local" | "src" => filter.local = self.prefix(filter)?,
            "remote" | "dst" => filter.remote = self.prefix(filter)?,
            "port" => filter.port = self.port()?,
            "sport" => filter.local_port = self.port()?,
            "dport" => filter.remote_port = self.port()?,
            "verdict" => filter.verdicts |= self.verdict()?.bit(),
            "count" => question.count = Some(self.count()?),
            "for" => question.time = Some(self.time()?),
            "and" => {}
            other => return Err(self.wrong(format!("{other:?} is not {CONDITIONS}"))),
        }
        Ok(())
    }

    fn family(&self, filter: &mut Filter, version: u8) -> Result<(), FilterError> {
        if filter.version != 0 && filter.version != version {
            return Err(self.wrong("IPv4 and IPv6 at once: no packet is both".to_owned()));
        }
        filter.version = version;
        Ok(())
    }

    fn prefix(&mut self, filter: &mut Filter) -> Result<Prefix<Address6>, FilterError> {
        let word = self.expect("an address")?;
        let net =
            word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from)).map_err(
                |_| self.wrong(format!("{word:?} is no address, as 192.0.2.1 or 2001:db8::/32")),
            )?;
        self.family(filter, if net.addr().is_ipv4() { 4 } else { 6 })?;
        let wide = |address| match address {
            IpAddr::V4(address) => [u64::from(address4(address.octets())), 0],
            IpAddr::V6(address) => address6(address.octets()),
        };
        Ok(Prefix { address: wide(net.network()), mask: wide(net.netmask()) })
    }

    fn port(&mut self) -> Result<[u8; 2], FilterError> {
        let word = self.expect("a port")?;
        match word.parse::<u16>() {
            Ok(port) if port != 0 => Ok(port.to_be_bytes()),
            _ => Err(self.wrong(format!("{word:?} is no port number"))),
        }
    }

    fn verdict(&mut self) -> Result<Verdict, FilterError> {
        let word = self.expect("a verdict")?;
        Verdict::ALL.into_iter().find(|verdict| verdict.name() == word).ok_or_else(|| {
            let names = Verdict::ALL.map(Verdict::name).join(", ");
            self.wrong(format!("{word:?} is no verdict: {names}"))
        })
    }

    fn count(&mut self) -> Result<u64, FilterError> {
        let word = self.expect("a number")?;
        match word.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(self.wrong(format!("{word:?} is no number of lines"))),
        }
    }

    fn time(&mut self) -> Result<Duration, FilterError> {
        let word = self.expect("a time")?;
        match crate::cli::time(word) {
            Ok(time) if !time.is_zero() => Ok(time),
            _ => Err(self.wrong(format!("{word:?} is no time like 30s"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Question, FilterError> {
        Question::parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_word_uplinks_and_healing_are_shown() {
        let question = parse("").unwrap();
        assert!(question.kinds.uplink && question.kinds.heal);
        assert!(!question.kinds.needs_programs());
    }

    #[test]
    fn conditions_make_a_filter() {
        let question = parse(
            "packet dev eth1 tcp host 203.0.113.0/24 sport 443 verdict moved verdict held count 6 \
             for 30s",
        )
        .unwrap();
        assert_eq!(question.device.as_deref(), Some("eth1"));
        assert_eq!((question.count, question.time), (Some(6), Some(Duration::from_secs(30))));
        let Filter { protocol, version, host, local_port, verdicts, changes, .. } = question.filter;
        assert_eq!((protocol, version, changes), (TCP, 4, 0));
        assert_eq!(host.address, [u64::from(address4([203, 0, 113, 0])), 0]);
        assert_eq!(host.mask, [u64::from(address4([255, 255, 255, 0])), 0]);
        assert_eq!(local_port, 443_u16.to_be_bytes());
        assert_eq!(verdicts, Verdict::Moved.bit() | Verdict::Held.bit());
    }

    /// What the daemon says is of an uplink, and of no packet.
    #[test]
    fn conditions_of_packets_are_for_packets_alone() {
        let error = parse("host 203.0.113.11 tcp").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"host\" is about packets, which are not asked for: `monitor packet host ..`, or `monitor \
             flow host ..`\n  host 203.0.113.11 tcp\n  ^"
        );
        for words in ["tcp", "uplink dev eth1 verdict moved", "heal for 3s port 53", "ip6 count 2"]
        {
            assert!(parse(words).is_err(), "{words}");
        }
        for words in ["dev eth1 count 3", "uplink dev eth1 for 3s", "uplink packet tcp"] {
            assert!(parse(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn an_ipv6_address_is_not_an_ipv4_one() {
        let question = parse("flow local 2001:db8::/32").unwrap();
        assert_eq!((question.filter.version, question.filter.changes), (6, 1));
        assert_eq!(parse("packet ip6 icmp").unwrap().filter.protocol, ICMPV6);
        assert!(parse("packet local 2001:db8::1 remote 192.0.2.1").is_err());
    }

    #[test]
    fn all_packets_without_an_end_are_too_many() {
        let error = parse("packet").unwrap_err().to_string();
        assert!(error.starts_with("of all packets there may be millions"), "{error}");
        assert!(parse("packet count 3").is_ok() && parse("packet for 5s").is_ok());
        assert!(parse("flow").is_ok());
    }

    #[test]
    fn what_is_wrong_is_marked() {
        let error = parse("packet host nowhere").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"nowhere\" is no address, as 192.0.2.1 or 2001:db8::/32\n  packet host nowhere\n  \
             \u{20}           ^"
        );
        for words in ["packet host", "packet port 0", "count x", "for x", "verdict lost", "nothing"]
        {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
