//! The metadata service of a cloud, as far as amazon-ec2-net-utils asks it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prroute_tests::lab::Lab;
use prroute_tests::wait;

/// Where it is in every such cloud.
const ADDRESS: &str = "169.254.169.254";

/// Time for a client to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);

/// The service, on the guest's loopback device; stopped when dropped.
pub(crate) struct Metadata {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Metadata {
    /// Answers with the text of each path below `meta-data/`.
    pub(crate) fn serve(lab: &Lab, texts: BTreeMap<String, String>) -> Result<Self> {
        lab.host.ip(&format!("address replace {ADDRESS}/32 dev lo scope link"))?;
        let listener = TcpListener::bind((ADDRESS, 80)).context("listen for questions")?;
        listener.set_nonblocking(true).context("make the listener non-blocking")?;
        let stop: Arc<AtomicBool> = Arc::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A client that went away asks again.
                    Ok((stream, _)) => drop(answer(&stream, &texts)),
                    Err(_) => std::thread::sleep(wait::POLL),
                }
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("the metadata service panicked");
        }
    }
}

/// One request, one answer: a token for whoever asks for one, and texts for whoever has it.
fn answer(mut stream: &TcpStream, texts: &BTreeMap<String, String>) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(REQUEST))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().context("no request")??;
    let mut has_token = false;
    for line in lines {
        let line = line?;
        has_token |= line.starts_with("X-aws-ec2-metadata-token:");
        if line.is_empty() {
            break;
        }
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let text = match (method, path.strip_prefix("/latest/").unwrap_or_default()) {
        ("PUT", "api/token") => Some("token"),
        ("GET", path) if has_token => {
            path.strip_prefix("meta-data/").and_then(|path| texts.get(path)).map(String::as_str)
        }
        _ => None,
    };
    let status = if text.is_some() { "200 OK" } else { "404 Not Found" };
    let text = text.unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )?;
    Ok(())
}
