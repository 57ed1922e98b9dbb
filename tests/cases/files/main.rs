//! What the repository holds beside the code: its pages, the systemd units and the packages, against what is
//! built. Only the host checks it.

#[path = "../blocks.rs"]
mod blocks;
mod book;
mod configuration;
mod contrib;
mod package;
mod package_scripts;
mod puppet;
mod unit_file;
