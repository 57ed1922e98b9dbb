//! What the repository holds beside the code: the README, the systemd units, the packages and the budget of the
//! programs, against what is built. Only the host checks it.

mod budget;
mod contrib;
mod package;
mod readme;
mod unit_file;
