//! What prroute made, and somebody else removed under traffic: it works again within seconds, it is
//! said what happened, and `down` is complete whatever is missing.

mod daemon;
mod names;
pub(crate) mod removal;
mod traffic;
mod without;
