//! The same work on two CPUs at once: what they share costs here and nowhere else.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};

use crate::cpu;
use crate::rounds::Work;

/// Two workers; one has a thread of its own on another CPU.
pub(crate) struct TwoCpus<W> {
    near: W,
    start: Option<Sender<u32>>,
    done: Receiver<Result<()>>,
    ready: std::sync::Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl<W: Work + Send + 'static> TwoCpus<W> {
    pub(crate) fn new(near: W, mut far: W, far_cpu: usize) -> Self {
        let (start, orders) = mpsc::channel::<u32>();
        let (report, done) = mpsc::channel();
        let ready = std::sync::Arc::new(AtomicU32::new(0));
        let seen = std::sync::Arc::clone(&ready);
        let thread = thread::spawn(move || {
            let pinned = cpu::pin(far_cpu);
            let mut pinned = Some(pinned);
            for times in orders {
                seen.fetch_add(1, Ordering::Release);
                let result = pinned.take().unwrap_or(Ok(())).and_then(|()| far.work(times));
                if report.send(result).is_err() {
                    return;
                }
            }
        });
        Self { near, start: Some(start), done, ready, thread: Some(thread) }
    }
}

impl<W: Work + Send + 'static> Work for TwoCpus<W> {
    fn name(&self) -> String {
        self.near.name()
    }

    fn work(&mut self, times: u32) -> Result<()> {
        let before = self.ready.load(Ordering::Acquire);
        let start = self.start.as_ref().context("the other thread was stopped")?;
        start.send(times).context("the other thread has ended")?;
        // Both begin together: a wake-up takes longer than a few exchanges.
        while self.ready.load(Ordering::Acquire) == before {
            std::hint::spin_loop();
        }
        self.near.work(times)?;
        self.done.recv().context("the other thread has ended")?
    }
}

impl<W> Drop for TwoCpus<W> {
    fn drop(&mut self) {
        drop(self.start.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: whoever waited for its result has said so.
            drop(thread.join());
        }
    }
}
