//! A container image made of this machine's programs: no registry is asked.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command;
use crate::scratch::{Scratch, install};
use crate::services::{DNS_ADDRESS, DNS_NAME};

/// The image's name in the engine.
pub const NAME: &str = "probe";

/// The shell whose web server is used, static or not.
const BUSYBOX: &str = "/usr/bin/busybox";
const DNSMASQ: &str = "/usr/sbin/dnsmasq";
const SOCAT: &str = "/usr/bin/socat";

/// Writes the image as a tar archive.
pub fn build(scratch: &Scratch) -> Result<PathBuf> {
    scratch.write("image/www/index.html", "answered by a container\n")?;
    archive(scratch, "image", &[BUSYBOX, DNSMASQ])
}

/// Likewise, the image of [`echo_servers`].
pub fn build_echo(scratch: &Scratch) -> Result<PathBuf> {
    archive(scratch, "echo-image", &[BUSYBOX, SOCAT])
}

/// A tar archive of the scratch directory's directory `name`, with these programs and their libraries.
fn archive(scratch: &Scratch, name: &str, programs: &[&str]) -> Result<PathBuf> {
    scratch.write(&format!("{name}/etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    scratch.write(&format!("{name}/etc/group"), "root:x:0:\n")?;
    let root = scratch.path().join(name);
    for &program in programs {
        let program = Path::new(program);
        let to = root.join("bin").join(program.file_name().context("a program's name")?);
        install(program, &to)?;
    }
    for &program in programs {
        // A static program has no libraries, which ldd calls a failure.
        let libraries = command::output(&mut command::command(&["ldd", program])?)?;
        for library in libraries.stdout.split_whitespace().filter(|word| word.starts_with('/')) {
            install(Path::new(library), &root.join(library.trim_start_matches('/')))?;
        }
    }
    let tar = scratch.path().join(format!("{name}.tar"));
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

/// The command of a container that sends back what it gets, by TCP and UDP in both families.
pub fn echo_servers(port: u16) -> Vec<String> {
    let socat = |listen: &str| format!("/bin/socat {listen},fork PIPE &");
    let servers = [
        socat(&format!("UDP4-RECVFROM:{port}")),
        socat(&format!("UDP6-RECVFROM:{port},ipv6only=1")),
        socat(&format!("TCP4-LISTEN:{port},reuseaddr")),
        socat(&format!("TCP6-LISTEN:{port},ipv6only=1,reuseaddr")),
    ];
    // The first process of a container gets no signal that it did not ask for.
    let script = format!("trap exit TERM; {} wait", servers.join(" "));
    ["/bin/busybox".to_owned(), "sh".to_owned(), "-c".to_owned(), script].into()
}
