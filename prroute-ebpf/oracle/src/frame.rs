//! Valid frames of every kind, written byte by byte: what comes out is etherparse's and
//! prroute's to read alike.

use std::net::IpAddr;

/// What a frame is made of.
#[derive(Clone, Debug)]
pub struct Frame {
    pub source: IpAddr,
    /// Of the source's family.
    pub destination: IpAddr,
    /// Words of no-operation options in an IPv4 header, up to 10.
    pub option_words: u8,
    /// In front of the transport header, IPv6 only.
    pub extensions: Vec<Extension>,
    /// In units of eight bytes, whether more follow, and the identification. IPv6 has it behind
    /// the extensions.
    pub fragment: Option<(u16, bool, u32)>,
    pub upper: Upper,
    pub payload: Vec<u8>,
    /// EtherType and tag.
    pub tag: Option<(u16, u16)>,
}

/// Number of an extension header, and its length in units of eight bytes beyond the first.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    pub number: u8,
    pub length: u8,
}

/// What the network header carries.
#[derive(Clone, Debug)]
pub enum Upper {
    /// Flags as on the wire, sequence and acknowledgement number, words of options.
    Tcp {
        ports: [u16; 2],
        flags: u8,
        numbers: [u32; 2],
        option_words: u8,
    },
    Udp {
        ports: [u16; 2],
    },
    /// The type of the one chunk.
    Sctp {
        ports: [u16; 2],
        chunk: u8,
    },
    /// UDP-Lite and DCCP: any protocol that starts with ports.
    Ports {
        protocol: u8,
        ports: [u16; 2],
    },
    Echo {
        is_request: bool,
        identifier: u16,
    },
    /// Type and code of an ICMP error that quotes a packet.
    Error {
        kind: u8,
        code: u8,
        quoted: Box<Frame>,
    },
    /// No ports: GRE, ESP, AH, IGMP, whatever has no name.
    Bare {
        protocol: u8,
    },
}

const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const HOST: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
/// RFC 4727.
const EXPERIMENTAL_OPTION: u8 = 0x1e;

impl Frame {
    /// A packet without anything rare.
    pub fn plain(source: IpAddr, destination: IpAddr, upper: Upper) -> Self {
        Self {
            source,
            destination,
            option_words: 0,
            extensions: Vec::new(),
            fragment: None,
            upper,
            payload: b"payload".to_vec(),
            tag: None,
        }
    }

    /// The frame with its Ethernet header.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = [HOST, ROUTER].concat();
        if let Some((ether_type, tag)) = self.tag {
            frame.extend(ether_type.to_be_bytes());
            frame.extend(tag.to_be_bytes());
        }
        let ether_type: u16 = if self.source.is_ipv4() { 0x0800 } else { 0x86dd };
        frame.extend(ether_type.to_be_bytes());
        frame.extend(self.packet());
        frame
    }

    /// The packet alone.
    pub fn packet(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.ipv4(source.octets(), destination.octets())
            }
            (source, destination) => {
                let octets = |address| match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                };
                self.ipv6(octets(source), octets(destination))
            }
        }
    }

    fn ipv4(&self, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let words = self.option_words.min(10);
        let upper = self.upper_bytes(&[source.as_slice(), &destination].concat());
        let length = 20 + usize::from(words) * 4 + upper.len();
        let (offset, more, identification) = self.fragment.unwrap_or_default();
        let fragment = offset & 0x1fff | if more { 0x2000 } else { 0 };
        let mut header = vec![0x45 + words, 0];
        header.extend((length as u16).to_be_bytes());
        header.extend((identification as u16).to_be_bytes());
        header.extend(fragment.to_be_bytes());
        header.extend([64, self.protocol(), 0, 0]);
        header.extend(source);
        header.extend(destination);
        header.extend(vec![1; usize::from(words) * 4]);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum);
        header.extend(upper);
        header
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
        let mut body = self.upper_bytes(&[source.as_slice(), &destination].concat());
        let mut next = self.protocol();
        if let Some((offset, more, identification)) = self.fragment {
            let mut header = vec![next, 0];
            header.extend((offset << 3 | u16::from(more)).to_be_bytes());
            header.extend(identification.to_be_bytes());
            body.splice(0..0, header);
            next = FRAGMENT;
        }
        for extension in self.extensions.iter().rev() {
            let mut header = vec![next, extension.length];
            // One option fills it, to be skipped by who does not know it: Linux refuses padding
            // of more than seven bytes. A routing header has no segments left.
            let rest = usize::from(extension.length) * 8 + 4;
            header.extend(match extension.number {
                ROUTING => [0, 0],
                _ => [EXPERIMENTAL_OPTION, rest.min(255) as u8],
            });
            header.extend(vec![0; rest]);
            body.splice(0..0, header);
            next = extension.number;
        }
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((body.len() as u16).to_be_bytes());
        packet.extend([next, 64]);
        packet.extend(source);
        packet.extend(destination);
        packet.extend(body);
        packet
    }

    fn protocol(&self) -> u8 {
        match &self.upper {
            Upper::Tcp { .. } => 6,
            Upper::Udp { .. } => 17,
            Upper::Sctp { .. } => 132,
            Upper::Echo { .. } | Upper::Error { .. } if self.source.is_ipv4() => 1,
            Upper::Echo { .. } | Upper::Error { .. } => 58,
            Upper::Ports { protocol, .. } | Upper::Bare { protocol } => *protocol,
        }
    }

    /// The transport header and the payload; `addresses` are what checksums cover besides.
    fn upper_bytes(&self, addresses: &[u8]) -> Vec<u8> {
        let protocol = self.protocol();
        let (mut bytes, sum_at) = match &self.upper {
            Upper::Tcp { ports, flags, numbers, option_words } => {
                let words = (*option_words).min(10);
                let mut header = ports.map(u16::to_be_bytes).concat();
                header.extend(numbers.map(u32::to_be_bytes).concat());
                header.extend([(5 + words) << 4, *flags, 0x40, 0, 0, 0, 0, 0]);
                header.extend(vec![1; usize::from(words) * 4]);
                (header, Some(16))
            }
            Upper::Udp { ports } => {
                let mut header = ports.map(u16::to_be_bytes).concat();
                header.extend((8 + self.payload.len() as u16).to_be_bytes());
                header.extend([0, 0]);
                (header, Some(6))
            }
            Upper::Sctp { ports, chunk } => {
                let mut header = ports.map(u16::to_be_bytes).concat();
                // Verification tag, no checksum; a chunk of the payload.
                header.extend([0, 0, 0, 1, 0, 0, 0, 0, *chunk, 0]);
                header.extend((4 + self.payload.len() as u16).to_be_bytes());
                (header, None)
            }
            Upper::Ports { ports, .. } => {
                let mut header = ports.map(u16::to_be_bytes).concat();
                header.extend([0; 4]);
                (header, None)
            }
            Upper::Echo { is_request, identifier } => {
                let kind = match (self.source.is_ipv4(), is_request) {
                    (true, true) => 8,
                    (true, false) => 0,
                    (false, true) => 128,
                    (false, false) => 129,
                };
                let mut header = vec![kind, 0, 0, 0];
                header.extend(identifier.to_be_bytes());
                header.extend([0, 1]);
                (header, Some(2))
            }
            Upper::Error { kind, code, quoted } => {
                let mut header = vec![*kind, *code, 0, 0, 0, 0, 0, 0];
                header.extend(quoted.packet());
                (header, Some(2))
            }
            Upper::Bare { .. } => (Vec::new(), None),
        };
        bytes.extend(&self.payload);
        if let Some(at) = sum_at {
            // ICMP of IPv4 covers no pseudo header.
            let mut covered =
                if protocol == 1 { Vec::new() } else { pseudo(addresses, protocol, bytes.len()) };
            covered.extend(&bytes);
            bytes[at..at + 2].copy_from_slice(&checksum(&covered));
        }
        bytes
    }
}

fn pseudo(addresses: &[u8], protocol: u8, length: usize) -> Vec<u8> {
    let mut header = addresses.to_vec();
    header.extend((length as u32).to_be_bytes());
    header.extend([0, 0, 0, protocol]);
    header
}

/// The Internet checksum, as on the wire.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        odd => u32::from(odd[0]) << 8,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
