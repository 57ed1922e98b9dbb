//! A container image made of this machine's programs: no registry is asked.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command;
use crate::scratch::{Scratch, install};
use crate::services::{DNS_ADDRESS, DNS_NAME};

/// The image's name in the engine.
pub const NAME: &str = "probe";

/// The shell whose web server is used, static or not.
const BUSYBOX: &str = "/usr/bin/busybox";
const DNSMASQ: &str = "/usr/sbin/dnsmasq";

/// Writes the image as a tar archive.
pub fn build(scratch: &Scratch) -> Result<PathBuf> {
    scratch.write("image/etc/passwd", "root:x:0:0:root:/:/bin/sh\n")?;
    scratch.write("image/etc/group", "root:x:0:\n")?;
    scratch.write("image/www/index.html", "answered by a container\n")?;
    let root = scratch.path().join("image");
    install(Path::new(BUSYBOX), &root.join("bin/busybox"))?;
    install(Path::new(DNSMASQ), &root.join("bin/dnsmasq"))?;
    for program in [BUSYBOX, DNSMASQ] {
        // A static program has no libraries, which ldd calls a failure.
        let libraries = command::output(&mut command::command(&["ldd", program])?)?;
        for library in libraries.stdout.split_whitespace().filter(|word| word.starts_with('/')) {
            install(Path::new(library), &root.join(library.trim_start_matches('/')))?;
        }
    }
    let tar = scratch.path().join("image.tar");
    command::run(&[
        "tar",
        "-C",
        &root.display().to_string(),
        "-cf",
        &tar.display().to_string(),
        ".",
    ])?;
    Ok(tar)
}

/// The command of a web server in a container.
pub fn web_server(port: u16) -> Vec<String> {
    ["/bin/busybox", "httpd", "-f", "-h", "/www", "-p", &port.to_string()].map(str::to_owned).into()
}

/// The command of a DNS server in a container.
pub fn dns_server(port: u16) -> Vec<String> {
    [
        "/bin/dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
        &format!("--port={port}"),
        &format!("--address=/{DNS_NAME}/{DNS_ADDRESS}"),
    ]
    .map(str::to_owned)
    .into()
}
