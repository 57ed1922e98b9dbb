//! Which flows are asked for, in the grammar of `ss`: conditions, `and`, `or`, `not` and parentheses.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cmd::flows::error::FilterError;
use crate::cmd::flows::state::State;
use crate::cmd::flows::words::{Word, words};

/// So many conditions a filter may have.
const MOST: usize = 100;

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    /// `None`: it is gone.
    pub(super) uplink: Option<&'a str>,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Address(End, IpNet),
    Port(End, Comparison, u16),
    Uplink(String),
    State(States),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Local,
    Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Not,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum States {
    Live,
    One(State),
    All,
}

/// What is asked for; without a state, what lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    filter: Filter,
    has_state: bool,
}

impl Wanted {
    /// # Errors
    ///
    /// When it is no filter.
    pub(super) fn parse(text: &str) -> Result<Self, FilterError> {
        let words = words(text);
        let mut parser = Parser { text, words: &words, next: 0, has_state: false, conditions: 0 };
        let filter = match words.is_empty() {
            true => Filter::All(Vec::new()),
            false => parser.any()?,
        };
        match parser.word() {
            None => Ok(Self { filter, has_state: parser.has_state }),
            Some(word) => Err(parser.error(word.at, "there is no ( for this".to_owned())),
        }
    }

    /// Whether the filter names it.
    pub(super) fn names(&self, flow: &Facts<'_>) -> bool {
        self.filter.takes(flow)
    }

    /// Whether flows that stand so are meant.
    pub(super) fn is_about(&self, state: State) -> bool {
        self.has_state || state.lives()
    }
}

impl Filter {
    fn takes(&self, flow: &Facts<'_>) -> bool {
        let end = |end: End| if end == End::Local { flow.local } else { flow.remote };
        match self {
            Self::All(parts) => parts.iter().all(|part| part.takes(flow)),
            Self::Any(parts) => parts.iter().any(|part| part.takes(flow)),
            Self::Not(part) => !part.takes(flow),
            Self::Address(which, net) => net.contains(&end(*which).0),
            Self::Port(which, comparison, port) => comparison.holds(end(*which).1, *port),
            Self::Uplink(name) => flow.uplink == Some(name),
            Self::State(States::All) => true,
            Self::State(States::Live) => flow.state.lives(),
            Self::State(States::One(state)) => flow.state == *state,
        }
    }
}

impl Comparison {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "=" | "==" | "eq" => Self::Equal,
            "!=" | "ne" | "neq" => Self::Not,
            "<" | "lt" => Self::Less,
            "<=" | "le" | "leq" => Self::AtMost,
            ">" | "gt" => Self::More,
            ">=" | "ge" | "geq" => Self::AtLeast,
            _ => return None,
        })
    }

    const fn holds(self, port: u16, than: u16) -> bool {
        match self {
            Self::Equal => port == than,
            Self::Not => port != than,
            Self::Less => port < than,
            Self::AtMost => port <= than,
            Self::More => port > than,
            Self::AtLeast => port >= than,
        }
    }
}

/// Reads words from left to right; each of its functions is a rule of the grammar.
struct Parser<'a> {
    text: &'a str,
    words: &'a [Word<'a>],
    next: usize,
    has_state: bool,
    /// Conditions so far, each `not` and each parenthesis too.
    conditions: usize,
}

impl<'a> Parser<'a> {
    fn word(&self) -> Option<Word<'a>> {
        self.words.get(self.next).copied()
    }

    fn take(&mut self, words: &[&str]) -> bool {
        let is_it = self.word().is_some_and(|word| words.contains(&word.text));
        self.next += usize::from(is_it);
        is_it
    }

    fn error(&self, at: usize, message: String) -> FilterError {
        FilterError { text: self.text.to_owned(), at, message }
    }

    /// The next word, of which something is expected.
    fn expect(&mut self, what: &str) -> Result<Word<'a>, FilterError> {
        let end = || self.error(self.text.len(), format!("{what} is missing at the end"));
        let word = self.word().ok_or_else(end)?;
        self.next += 1;
        Ok(word)
    }

    fn any(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all()?];
        while self.take(&["or", "||", "|"]) {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.one()?];
        loop {
            let is_told = self.take(&["and", "&&", "&"]);
            let is_over = |word: Word<'_>| matches!(word.text, "or" | "||" | "|" | ")");
            if !is_told && self.word().is_none_or(is_over) {
                return Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) });
            }
            parts.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        const WHAT: &str = "a condition (src, dst, sport, dport, uplink, state)";
        let word = self.expect(WHAT)?;
        // Each level takes room on the stack.
        self.conditions += 1;
        if self.conditions > MOST {
            return Err(self.error(word.at, format!("more than {MOST} conditions")));
        }
        match word.text {
            "not" | "!" => Ok(Filter::Not(Box::new(self.one()?))),
            "(" => {
                let inside = self.any()?;
                let closing = self.expect("a )")?;
                match closing.text {
                    ")" => Ok(inside),
                    _ => Err(self.error(closing.at, "a ) is missing here".to_owned())),
                }
            }
            "src" => self.address(End::Local),
            "dst" => self.address(End::Remote),
            "sport" => self.port(End::Local),
            "dport" => self.port(End::Remote),
            "uplink" | "dev" => {
                Ok(Filter::Uplink(self.expect("the name of an uplink")?.text.to_owned()))
            }
            "state" => self.state(),
            other => Err(self.error(word.at, format!("{other:?} is not {WHAT}"))),
        }
    }

    fn state(&mut self) -> Result<Filter, FilterError> {
        let word = self.expect("a state")?;
        self.has_state = true;
        Ok(Filter::State(match word.text {
            "all" => States::All,
            "live" => States::Live,
            "confirmed" => States::One(State::Ok),
            other => match State::ALL.into_iter().find(|state| state.name() == other) {
                Some(state) => States::One(state),
                None => {
                    let message = format!("{other:?} is no state: {}", State::WORDS);
                    return Err(self.error(word.at, message));
                }
            },
        }))
    }

    fn port(&mut self, end: End) -> Result<Filter, FilterError> {
        let word = self.word();
        let comparison = word.and_then(|word| Comparison::parse(word.text));
        self.next += usize::from(comparison.is_some());
        let word = self.expect("a port")?;
        let number = word.text.strip_prefix(':').unwrap_or(word.text).parse();
        let port = number
            .map_err(|_| self.error(word.at, format!("{:?} is no port number", word.text)))?;
        Ok(Filter::Port(end, comparison.unwrap_or(Comparison::Equal), port))
    }

    /// ADDRESS[/LENGTH][:PORT], of IPv6 with brackets where a port follows; `*` or nothing is any address.
    fn address(&mut self, end: End) -> Result<Filter, FilterError> {
        let word = self.expect("an address")?;
        let wrong = || {
            let message = format!(
                "{:?} is no address, as 192.0.2.0/24, 192.0.2.1:80, [2001:db8::1]:80 or :80",
                word.text
            );
            self.error(word.at, message)
        };
        let (address, port) = split(word.text).ok_or_else(wrong)?;
        let mut parts = Vec::new();
        if !matches!(address, "" | "*") {
            parts.push(Filter::Address(end, net(address).ok_or_else(wrong)?));
        }
        if let Some(port) = port.filter(|port| *port != "*") {
            let port = port.parse().map_err(|_| wrong())?;
            parts.push(Filter::Port(end, Comparison::Equal, port));
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }
}

/// The address, without brackets, and the port.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((address, None)),
            rest => Some((address, Some(rest.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        // More than one colon: of IPv6.
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((address, port)) => Some((address, Some(port))),
        None => Some((text, None)),
    }
}

fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
}

#[cfg(test)]
mod tests;
