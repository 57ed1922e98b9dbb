//! What the repository holds beside the code: the README, the systemd units and the packages, against what is
//! built. Only the host checks it.

mod contrib;
mod package;
mod readme;
mod unit_file;
