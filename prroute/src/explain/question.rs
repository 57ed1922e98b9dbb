//! What is asked, in the grammar of `ip route get`: words.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::state::observed::Family;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const SCTP: u8 = 132;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;

/// The port of a client that is not told: one that clients have.
const CLIENT_PORT: u16 = 50_000;

/// What may become of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// IANA protocol number; `None`: of a flow, whichever it has.
    pub(crate) protocol: Option<u8>,
    /// For ICMP echo the port is the identifier of both ends.
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The name of the interface that it comes in by; `None`: each uplink.
    pub(crate) iif: Option<String>,
    /// A flow that exists, and not one that begins.
    pub(crate) is_flow: bool,
}

/// Words that are no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct QuestionError {
    expected: String,
    found: Option<String>,
}

impl fmt::Display for QuestionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)?;
        match &self.found {
            Some(found) => write!(f, ", found {found:?}"),
            None => f.write_str(" at the end"),
        }
    }
}

fn error(expected: impl Into<String>, found: Option<&str>) -> QuestionError {
    QuestionError { expected: expected.into(), found: found.map(str::to_owned) }
}

impl Question {
    /// # Errors
    ///
    /// When the words are none, with what was expected.
    pub(crate) fn parse(words: &[String], family: Option<Family>) -> Result<Self, QuestionError> {
        let mut words = Words { rest: words.iter().map(String::as_str).collect(), family };
        let question = match words.peek() {
            Some("flow") => words.flow()?,
            _ => words.packet()?,
        };
        match words.peek() {
            None => Ok(question),
            found if question.iif.is_some() => Err(error("nothing more", found)),
            found => Err(error("`iif UPLINK` or nothing more", found)),
        }
    }

    pub(crate) const fn family(&self) -> Family {
        if self.local.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    pub(crate) fn has_ports(&self) -> bool {
        matches!(self.protocol, Some(TCP | UDP | SCTP))
    }

    pub(crate) fn is_echo(&self) -> bool {
        matches!(self.protocol, Some(ICMP | ICMPV6))
    }

    /// The protocol, once it is known.
    pub(crate) fn number(&self) -> u8 {
        self.protocol.unwrap_or(TCP)
    }
}

struct Words<'a> {
    rest: Vec<&'a str>,
    /// By the option `-4` or `-6`.
    family: Option<Family>,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.rest.first().copied()
    }

    fn next(&mut self, expected: &str) -> Result<&'a str, QuestionError> {
        match self.rest.is_empty() {
            true => Err(error(expected, None)),
            false => Ok(self.rest.remove(0)),
        }
    }

    fn keyword(&mut self, word: &str, expected: &str) -> Result<(), QuestionError> {
        match self.next(expected)? {
            found if found == word => Ok(()),
            found => Err(error(expected, Some(found))),
        }
    }

    fn packet(&mut self) -> Result<Question, QuestionError> {
        const PROTOCOL: &str = "a protocol (tcp, udp, icmp, sctp or its number) or `flow`";
        let word = self.next(PROTOCOL)?;
        let named = protocol(word).ok_or_else(|| error(PROTOCOL, Some(word)))?;
        self.keyword("from", "`from CLIENT[:PORT]`")?;
        let (client, client_port) = self.end("the client's address")?;
        self.keyword("to", "`to LOCAL[:PORT]`")?;
        let (local, local_port) = self.end("the address that is asked")?;
        let protocol = match named {
            ICMP | ICMPV6 if local.is_ipv4() => ICMP,
            ICMP | ICMPV6 => ICMPV6,
            other => other,
        };
        same_family(client, local)?;
        let has_ports = matches!(protocol, TCP | UDP | SCTP);
        if has_ports && local_port.is_none() {
            let with_port = SocketAddr::new(local, 80);
            let expected = format!("a port behind the address, as {with_port}");
            return Err(error(expected, Some(&local.to_string())));
        }
        let (client_port, local_port) = match protocol {
            TCP | UDP | SCTP => {
                (client_port.unwrap_or(CLIENT_PORT), local_port.unwrap_or_default())
            }
            ICMP | ICMPV6 => {
                let identifier = client_port.or(local_port).unwrap_or(CLIENT_PORT);
                (identifier, identifier)
            }
            _ => (0, 0),
        };
        Ok(Question {
            protocol: Some(protocol),
            client: SocketAddr::new(client, client_port),
            local: SocketAddr::new(local, local_port),
            iif: self.iif()?,
            is_flow: false,
        })
    }

    fn flow(&mut self) -> Result<Question, QuestionError> {
        const ENDS: &str = "`flow LOCAL:PORT CLIENT:PORT`";
        self.keyword("flow", ENDS)?;
        let named = self.peek().filter(|word| !word.contains(['.', ':'])).and_then(protocol);
        if named.is_some() {
            self.next(ENDS)?;
        }
        let (local, local_port) = self.end("the local address and port of the flow")?;
        let (client, client_port) = self.end("the client's address and port")?;
        same_family(client, local)?;
        let protocol = named.map(|number| match number {
            ICMP if local.is_ipv6() => ICMPV6,
            number => number,
        });
        Ok(Question {
            protocol,
            client: SocketAddr::new(client, client_port.unwrap_or_default()),
            local: SocketAddr::new(local, local_port.unwrap_or_default()),
            iif: self.iif()?,
            is_flow: true,
        })
    }

    fn iif(&mut self) -> Result<Option<String>, QuestionError> {
        if self.peek() != Some("iif") {
            return Ok(None);
        }
        self.keyword("iif", "`iif UPLINK`")?;
        self.next("the name of an uplink").map(|name| Some(name.to_owned()))
    }

    /// ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT.
    fn end(&mut self, expected: &str) -> Result<(IpAddr, Option<u16>), QuestionError> {
        let word = self.next(expected)?;
        let (address, port) = end_of(word).ok_or_else(|| {
            let example = "as 192.0.2.1:80 or [2001:db8::1]:80";
            error(format!("{expected}, {example}"), Some(word))
        })?;
        match self.family {
            Some(family) if family != Family::of(&address) => {
                Err(error(format!("an address of {family}"), Some(word)))
            }
            _ => Ok((address, port)),
        }
    }
}

fn same_family(client: IpAddr, local: IpAddr) -> Result<(), QuestionError> {
    let family = Family::of(&client);
    match family == Family::of(&local) {
        true => Ok(()),
        false => {
            let expected = format!("an address of {family}, as the client's");
            Err(error(expected, Some(&local.to_string())))
        }
    }
}

fn protocol(word: &str) -> Option<u8> {
    Some(match word {
        "tcp" => TCP,
        "udp" => UDP,
        "icmp" | "ping" => ICMP,
        "icmpv6" | "ipv6-icmp" => ICMPV6,
        "sctp" => SCTP,
        number => number.parse().ok().filter(|number| *number > 0)?,
    })
}

fn end_of(word: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some((address, None));
    }
    if let Ok(end) = word.parse::<SocketAddr>() {
        return Some((end.ip(), Some(end.port())));
    }
    let inside = word.strip_prefix('[')?.strip_suffix(']')?;
    Some((inside.parse().ok()?, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str, family: Option<Family>) -> Result<Question, QuestionError> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Question::parse(&words, family)
    }

    #[test]
    fn questions_read_as_those_of_ip_route_get() {
        let asked = parsed("tcp from 203.0.113.11 to 198.51.100.10:8080 iif eth1", None).unwrap();
        assert_eq!(asked.protocol, Some(TCP));
        assert_eq!(asked.client, "203.0.113.11:50000".parse().unwrap());
        assert_eq!(asked.local, "198.51.100.10:8080".parse().unwrap());
        assert_eq!((asked.iif.as_deref(), asked.is_flow), (Some("eth1"), false));
        let ping = parsed("icmp from 2001:db8::1 to 2001:db8:1::10", Some(Family::V6)).unwrap();
        assert_eq!(ping.protocol, Some(ICMPV6));
        assert_eq!(ping.client.port(), ping.local.port());
        let other = parsed("47 from 192.0.2.1 to 192.0.2.2", None).unwrap();
        assert_eq!((other.protocol, other.local.port()), (Some(47), 0));
        let udp = parsed("udp from [2001:db8::1]:53 to [2001:db8:1::10]:53", None).unwrap();
        assert_eq!(udp.client.port(), 53);
    }

    #[test]
    fn a_flow_has_its_local_end_first() {
        let flow = parsed("flow 198.51.100.10:8080 203.0.113.11:40000", None).unwrap();
        assert_eq!((flow.protocol, flow.is_flow), (None, true));
        assert_eq!(flow.local.port(), 8080);
        let flow = parsed("flow udp 198.51.100.10:53 203.0.113.11:40000 iif eth0", None).unwrap();
        assert_eq!((flow.protocol, flow.iif.as_deref()), (Some(UDP), Some("eth0")));
    }

    #[test]
    fn what_was_expected_is_said() {
        for (words, expected) in [
            ("", "expected a protocol (tcp, udp, icmp, sctp or its number) or `flow` at the end"),
            (
                "http",
                "expected a protocol (tcp, udp, icmp, sctp or its number) or `flow`, found \"http\"",
            ),
            ("tcp to 192.0.2.1:80", "expected `from CLIENT[:PORT]`, found \"to\""),
            ("tcp from 192.0.2.1", "expected `to LOCAL[:PORT]` at the end"),
            (
                "tcp from 192.0.2.1 to 192.0.2.2",
                "expected a port behind the address, as 192.0.2.2:80, found \"192.0.2.2\"",
            ),
            (
                "tcp from 192.0.2.1 to 2001:db8::1",
                "expected an address of IPv4, as the client's, found \"2001:db8::1\"",
            ),
            (
                "icmp from 192.0.2.1 to 192.0.2.2 eth1",
                "expected `iif UPLINK` or nothing more, found \"eth1\"",
            ),
            ("icmp from 192.0.2.1 to 192.0.2.2 iif", "expected the name of an uplink at the end"),
            ("icmp from 192.0.2.1 to 192.0.2.2 iif a b", "expected nothing more, found \"b\""),
            (
                "icmp from host to 192.0.2.2",
                "expected the client's address, as 192.0.2.1:80 or [2001:db8::1]:80, found \"host\"",
            ),
        ] {
            assert_eq!(parsed(words, None).unwrap_err().to_string(), expected, "{words}");
        }
        let other = parsed("icmp from 192.0.2.1 to 192.0.2.2", Some(Family::V6)).unwrap_err();
        assert_eq!(other.to_string(), "expected an address of IPv6, found \"192.0.2.1\"");
    }
}
