//! What is neither plain TCP, UDP nor ping: SCTP, GRE, ESP, a protocol without a name, IPv4
//! options, IPv6 extension headers, super-packets above 64 KiB, and tagged frames.

mod headers;
mod numbers;
mod sctp;
mod super_packets;
mod tagged;
