//! Models a browser, which requests the page; the stylesheet and the script when the HTML is complete; the font when
//! the stylesheet is complete; and a preload as soon as a 103 or the page's head names it. The browser accepts pushes,
//! and requests nothing twice.

use std::{
    collections::HashSet,
    future::{Future as _, poll_fn},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use h2::{
    RecvStream,
    client::{PushPromise, PushedResponseFuture, ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, Response, header};
use linkpush::link;
use tokio::{sync::mpsc, time::Instant};

use super::{
    origin::{FONT, PAGE, SCRIPT, STYLE, resource},
    support::client::{BROWSER_WINDOW, Failure, Taking, connect, read_to_end},
};

/// One page load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// The time until page and assets were complete.
    pub(crate) complete: Duration,
    /// The number of assets that were pushed and used.
    pub(crate) pushed: usize,
    /// The number of interim responses.
    pub(crate) hints: usize,
}

/// An event on the connection, in order of arrival.
enum Event {
    Promised(String, PushedResponseFuture),
    /// The preloads of a 103.
    Interim(Vec<String>),
    /// The preloads of the page's final head.
    Header(Vec<String>),
    Complete(String),
    Failed(Failure),
}

/// Loads the page over a new connection.
pub(crate) async fn load(address: SocketAddr, taking: Taking) -> Result<Load, Failure> {
    tokio::time::timeout(Duration::from_secs(20), unlimited(address, taking)).await?
}

async fn unlimited(address: SocketAddr, taking: Taking) -> Result<Load, Failure> {
    let (mut sender, connection) = connect(address, taking, BROWSER_WINDOW).await?;
    let start = Instant::now();
    let (events, mut happens) = mpsc::unbounded_channel();
    let response = ask(&mut sender, address, PAGE)?;
    tokio::spawn(page(response, events.clone()));

    let mut wanted = HashSet::from([PAGE.to_owned()]);
    let mut complete = HashSet::new();
    let (mut pushed, mut hints) = (0, 0);
    while complete.len() < 4 {
        let event = happens.recv().await.ok_or("the connection ended")?;
        let next: Vec<String> = match event {
            Event::Promised(path, response) => {
                // Dropping the promise of an asset that was already requested resets the promise.
                if wanted.insert(path.clone()) {
                    pushed += 1;
                    let events = events.clone();
                    tokio::spawn(async move { body(path, response.await, events).await });
                }
                continue;
            }
            Event::Interim(preloads) => {
                hints += 1;
                preloads
            }
            Event::Header(preloads) => preloads,
            Event::Complete(path) => {
                let next: &[&str] = match &*path {
                    PAGE => &[STYLE, SCRIPT],
                    STYLE => &[FONT],
                    _ => &[],
                };
                complete.insert(path);
                next.iter().map(|path| (*path).to_owned()).collect()
            }
            Event::Failed(e) => return Err(e),
        };
        for path in next {
            if wanted.insert(path.clone()) {
                let response = ask(&mut sender, address, &path)?;
                let events = events.clone();
                tokio::spawn(async move { body(path, response.await, events).await });
            }
        }
    }
    let complete = start.elapsed();
    connection.abort();
    Ok(Load {
        complete,
        pushed,
        hints,
    })
}

fn ask(sender: &mut SendRequest<bytes::Bytes>, address: SocketAddr, path: &str) -> Result<ResponseFuture, Failure> {
    let (mode, accept) = match path {
        PAGE => ("navigate", "text/html"),
        _ => ("no-cors", "*/*"),
    };
    let request = Request::get(format!("http://{address}{path}"))
        .header(header::USER_AGENT, "model-browser")
        .header(header::ACCEPT, accept)
        .header("sec-fetch-mode", mode)
        .body(())?;
    Ok(sender.send_request(request, true)?.0)
}

type Events = mpsc::UnboundedSender<Event>;

/// Follows the page. Promises are reported before the head that names the same assets, since they were sent first.
async fn page(mut response: ResponseFuture, events: Events) {
    let mut promises = response.push_promises();
    let mut promises_ended = false;
    let header = loop {
        tokio::select! {
            promise = promises.push_promise(), if !promises_ended => {
                promises_ended = !promised(promise, &events);
            }
            header = poll_fn(|cx| poll_header(&mut response, cx)) => {
                // Promises that were sent before this head have arrived.
                let mut now = Context::from_waker(Waker::noop());
                while let Poll::Ready(Some(promise)) = promises.poll_push_promise(&mut now) {
                    promised(Some(promise), &events);
                }
                match header {
                    Header::Interim(fields) => drop(events.send(Event::Interim(preloads(&fields)))),
                    Header::Final(header) => break header,
                }
            }
        }
    };
    match header {
        Ok(response) => {
            let _ = events.send(Event::Header(preloads(response.headers())));
            tokio::spawn(body(PAGE.to_owned(), Ok(response), events.clone()));
        }
        Err(e) => drop(events.send(Event::Failed(e.into()))),
    }
    while !promises_ended {
        promises_ended = !promised(promises.push_promise().await, &events);
    }
}

/// Reports a promise. Returns whether there may be more.
fn promised(promise: Option<Result<PushPromise, h2::Error>>, events: &Events) -> bool {
    let Some(Ok(promise)) = promise else { return false };
    let (request, response) = promise.into_parts();
    let _ = events.send(Event::Promised(request.uri().path().to_owned(), response));
    true
}

enum Header {
    Interim(HeaderMap),
    Final(Result<Response<RecvStream>, h2::Error>),
}

fn poll_header(response: &mut ResponseFuture, cx: &mut Context<'_>) -> Poll<Header> {
    if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
        return Poll::Ready(Header::Interim(interim.into_parts().0.headers));
    }
    Pin::new(response).poll(cx).map(Header::Final)
}

/// Returns the paths that `Link` fields ask to preload.
fn preloads(fields: &HeaderMap) -> Vec<String> {
    let values = fields.get_all(header::LINK).iter();
    let links = values.flat_map(|value| link::parse(value.as_bytes())).flatten();
    links
        .filter(|link| link.has_relation("preload"))
        .map(|link| String::from_utf8_lossy(link.target).into_owned())
        .collect()
}

async fn body(path: String, response: Result<Response<RecvStream>, h2::Error>, events: Events) {
    let event = match whole(&path, response).await {
        Ok(()) => Event::Complete(path),
        Err(e) => Event::Failed(format!("{path}: {e}").into()),
    };
    let _ = events.send(event);
}

/// Reads content to its end, and checks its length.
async fn whole(path: &str, response: Result<Response<RecvStream>, h2::Error>) -> Result<(), Failure> {
    let size = read_to_end(response?.into_body()).await?;
    let expected = resource(path).map(|(_, size, _)| size);
    if expected == Some(size) {
        Ok(())
    } else {
        Err(format!("{size} bytes").into())
    }
}
