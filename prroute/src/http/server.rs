//! The server: one request a connection, and limits on how many, how long and how large.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::listener::{Listener, Stream};
use super::{Answer, HEALTH, MAX_WAIT, NAMESPACE, Request};

/// Who comes when all are taken waits in the socket's queue.
const MAX_CONNECTIONS: usize = 16;
/// For a request to be sent.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// For all of a connection, and [`MAX_WAIT`] besides.
const WHOLE_TIME: Duration = Duration::from_secs(30);
/// Of a request; the least that the library takes.
const MAX_HEADER_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 32;
/// Before accepting again what could not be accepted.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) trait Answers {
    fn answer(&self, request: Request) -> impl Future<Output = Answer>;
}

/// Serves until the future is dropped, within a [`tokio::task::LocalSet`].
pub(crate) async fn serve(listener: &Listener, answers: Rc<impl Answers + 'static>) -> Infallible {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            std::future::pending().await
        };
        match listener.accept().await {
            Ok(stream) => {
                let answers = Rc::clone(&answers);
                drop(spawn_local(connection(stream, answers, Arc::new(permit))));
            }
            Err(error) => {
                // Out of descriptors, or the asker is gone already.
                tracing::debug!("accept a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// The permit is kept by the answer, too: it is made to its end, also for who is gone by then.
async fn connection(
    stream: Stream,
    answers: Rc<impl Answers + 'static>,
    permit: Arc<OwnedSemaphorePermit>,
) {
    let respond =
        service_fn(async |request| Ok::<_, Infallible>(respond(&request, &answers, &permit).await));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), respond);
    match timeout(WHOLE_TIME + MAX_WAIT, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("answer a request: {error}"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
}

async fn respond(
    request: &hyper::Request<Incoming>,
    answers: &Rc<impl Answers + 'static>,
    permit: &Arc<OwnedSemaphorePermit>,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal = Answer::error(StatusCode::METHOD_NOT_ALLOWED, "everything here is read only");
        let mut response = response(refusal);
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let uri = request.uri();
    let asked = Request {
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        wants_text: wants_text(request.headers()),
    };
    let (answers, permit) = (Rc::clone(answers), Arc::clone(permit));
    let answer = spawn_local(async move {
        let answer = answers.answer(asked).await;
        drop(permit);
        answer
    });
    let failed = |_| Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "no answer could be made");
    response(answer.await.unwrap_or_else(failed))
}

/// Only who names text, and JSON not before it, gets text.
fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut kinds = accepted.split(',').map(|kind| kind.split(';').next().unwrap_or_default());
    let first = kinds.find(|kind| matches!(kind.trim(), "text/plain" | "application/json"));
    first.is_some_and(|kind| kind.trim() == "text/plain")
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut builder = Response::builder()
        .status(answer.status)
        .header(CONTENT_TYPE, answer.kind.name())
        .header("cache-control", "no-store");
    if let Some(health) = answer.health {
        builder = builder.header(HEALTH, health);
    }
    if let Some(namespace) = answer.namespace {
        builder = builder.header(NAMESPACE, namespace);
    }
    builder.body(Full::from(answer.body)).unwrap_or_else(|error| {
        tracing::debug!("build an answer: {}", io::Error::other(error));
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
