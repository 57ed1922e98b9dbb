//! What the repository holds beside the code: the README, the systemd unit and the budget of the
//! programs, against what is built. Only the host checks it.

mod budget;
mod contrib;
mod readme;
mod unit_file;
