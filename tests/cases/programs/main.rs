//! Both programs, run on packets one by one (BPF_PROG_TEST_RUN), under the unit's capabilities, and what they
//! cost the kernel ([`budget`]).
//!
//! A fixture has two uplinks: up1 owns 10.0.1.2 and fd00:1::2, up2 owns 10.0.2.2 and fd00:2::2;
//! 192.0.2.80 and 2001:db8::80 are shared.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod ages;
#[path = "../aging.rs"]
mod aging;
mod awkward;
mod budget;
mod fast_path;
mod fixture;
mod frames;
mod icmp_source;
mod indexes;
mod left_alone;
mod local_prefixes;
mod observe;
mod openings;
mod own_source;
mod replay;
mod reports;
mod segment;
mod sequences;
mod size;
mod source_owner;
mod steering;
mod subnet_gateways;
mod target;
mod time;
