//! The real programs that are asked: nginx for TCP, dnsmasq for UDP.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;

use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait;

/// The name dnsmasq knows, and its address.
pub const DNS_NAME: &str = "probe.test";
pub const DNS_ADDRESS: &str = "192.0.2.53";

/// Time for a server to listen.
const START: Duration = Duration::from_secs(60);

/// A web server on all addresses of the namespace.
pub fn nginx(namespace: &Namespace, scratch: &Scratch, port: u16) -> Result<Process> {
    let dir = scratch.path().join(format!("nginx-{}-{port}", namespace.name()));
    let dir = dir.display();
    let configuration = format!(
        "daemon off; master_process off; user root; pid {dir}/pid; error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen {port}; listen [::]:{port} ipv6only=on;
        location / {{ return 200 \"$server_addr answers $remote_addr\\n\"; }}
    }}
}}
"
    );
    let file = scratch.write(&format!("nginx-{}-{port}/conf", namespace.name()), &configuration)?;
    let mut nginx = namespace.spawn(&["nginx", "-c", &file.display().to_string()])?;
    wait::until("nginx listens", START, || {
        nginx.check_running()?;
        listens(namespace, "-tln", port)
    })?;
    Ok(nginx)
}

/// A DNS server with one socket per address, so that each answer has the address asked as its
/// source.
pub fn dnsmasq(namespace: &Namespace, addresses: &[IpAddr], port: u16) -> Result<Process> {
    let listen: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let mut dnsmasq = namespace.spawn(&[
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        &format!("--port={port}"),
        &format!("--listen-address={}", listen.join(",")),
        &format!("--address=/{DNS_NAME}/{DNS_ADDRESS}"),
    ])?;
    wait::until("dnsmasq listens", START, || {
        dnsmasq.check_running()?;
        listens(namespace, "-uln", port)
    })?;
    Ok(dnsmasq)
}

fn listens(namespace: &Namespace, option: &str, port: u16) -> Result<Option<()>> {
    let sockets = namespace.run(&["ss", "-H", option, "sport", "=", &format!(":{port}")])?;
    Ok((!sockets.trim().is_empty()).then_some(()))
}
