//! An HTTP/2 client that takes pushes, over the h2 crate.

use std::{future::poll_fn, net::SocketAddr, time::Instant};

use bytes::Bytes;
use h2::client::{Builder, PushPromises, SendRequest};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// A connection to the edge.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
    origin: String,
    pub started: Instant,
}

/// A response that has ended.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// When the head and the last byte arrived, since the connection was made.
    pub head_at: std::time::Duration,
    pub end_at: std::time::Duration,
}

/// A promise with what became of it.
#[derive(Debug)]
pub struct Push {
    pub request: Request<()>,
    pub promised_at: std::time::Duration,
    pub answer: Result<Answer, h2::Error>,
}

impl Push {
    /// The promised path and query.
    pub fn path(&self) -> &str {
        self.request.uri().path_and_query().map_or("", |pq| pq.as_str())
    }

    /// The answer of a push that was delivered.
    pub fn delivered(&self) -> &Answer {
        self.answer.as_ref().expect("a delivered push")
    }
}

/// A page with all that came with it.
#[derive(Debug)]
pub struct Page {
    pub answer: Answer,
    pub pushes: Vec<Push>,
    /// 1xx responses, in order, with their time of arrival.
    pub informational: Vec<(std::time::Duration, Response<()>)>,
}

impl Page {
    /// Promised paths in the order of their promises.
    pub fn promised(&self) -> Vec<&str> {
        self.pushes.iter().map(Push::path).collect()
    }

    /// The push of a path.
    pub fn push(&self, path: &str) -> &Push {
        self.pushes
            .iter()
            .find(|push| push.path() == path)
            .unwrap_or_else(|| panic!("no push of {path}"))
    }

    /// Link values of each 103.
    pub fn hints(&self) -> Vec<Vec<String>> {
        self.informational
            .iter()
            .map(|(_, response)| {
                response
                    .headers()
                    .get_all("link")
                    .iter()
                    .map(|v| v.to_str().expect("ASCII").to_owned())
                    .collect()
            })
            .collect()
    }

    /// The targets of all hints, in order.
    pub fn targets(&self) -> Vec<String> {
        let hints = self.hints().concat();
        let targets = hints.iter().filter_map(|hint| hint.strip_prefix('<')?.split_once('>'));
        targets.map(|(target, _)| target.to_owned()).collect()
    }
}

impl Client {
    /// Connects with push enabled and wide windows.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut builder = Builder::new();
        builder
            .initial_window_size(16 << 20)
            .initial_connection_window_size(64 << 20);
        Self::with(address, &builder).await
    }

    /// Connects as a browser does: push disabled.
    pub async fn without_push(address: SocketAddr) -> Self {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(16 << 20)
            .initial_connection_window_size(64 << 20);
        Self::with(address, &builder).await
    }

    /// Connects with these settings.
    pub async fn with(address: SocketAddr, builder: &Builder) -> Self {
        let stream = TcpStream::connect(address).await.expect("the edge listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self::over(stream, &format!("http://{address}"), builder).await
    }

    /// Speaks over a connection that is there; `origin` is the scheme and the authority of requests.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        origin: &str,
        builder: &Builder,
    ) -> Self {
        let started = Instant::now();
        let (send, connection) = builder.handshake(stream).await.expect("an HTTP/2 handshake");
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            send,
            origin: origin.to_owned(),
            started,
        }
    }

    /// A GET of this path with these fields.
    pub fn get_request(&self, path: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(format!("{}{path}", self.origin));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    /// Fetches a page and everything that comes with it.
    pub async fn get(&self, path: &str) -> Page {
        self.fetch(self.get_request(path, &[])).await
    }

    /// Begins to fetch a page whose answer is to take its time.
    pub fn begin(&self, path: &str) -> JoinHandle<Result<Page, h2::Error>> {
        tokio::spawn(self.clone().try_fetch(self.get_request(path, &[])))
    }

    /// Fetches a page as a browser's navigation.
    pub async fn navigate(&self, path: &str) -> Page {
        self.fetch(self.get_request(path, &[("sec-fetch-mode", "navigate")]))
            .await
    }

    /// Sends any request without a body.
    pub async fn fetch(&self, request: Request<()>) -> Page {
        super::within(
            &format!("{} {}", request.method(), request.uri()),
            self.clone().try_fetch(request),
        )
        .await
        .expect("an answer")
    }

    /// Sends a request; an error where its stream is reset.
    pub async fn try_fetch(mut self, request: Request<()>) -> Result<Page, h2::Error> {
        poll_fn(|cx| self.send.poll_ready(cx)).await?;
        let (mut response, _) = self.send.send_request(request, true)?;
        let (done, page_done) = oneshot::channel();
        let pushes = self.collect_pushes(response.push_promises(), page_done);
        let mut informational = Vec::new();
        let response = poll_fn(|cx| {
            while let std::task::Poll::Ready(Some(Ok(early))) = response.poll_informational(cx) {
                informational.push((self.started.elapsed(), early));
            }
            std::pin::Pin::new(&mut response).poll(cx)
        })
        .await?;
        let answer = self.read(response).await?;
        let _ = done.send(());
        let pushes = pushes.await.expect("no panic");
        Ok(Page {
            answer,
            pushes,
            informational,
        })
    }

    /// Reads pushes until the page has ended; every promise of a page comes before its end.
    fn collect_pushes(
        &self,
        mut promises: PushPromises,
        mut page_done: oneshot::Receiver<()>,
    ) -> JoinHandle<Vec<Push>> {
        let client = self.clone();
        tokio::spawn(async move {
            let mut reading = Vec::new();
            loop {
                let promise = tokio::select! {
                    biased;
                    promise = promises.push_promise() => promise,
                    _ = &mut page_done => break,
                };
                let Some(Ok(promise)) = promise else { break };
                let promised_at = client.started.elapsed();
                let (request, response) = promise.into_parts();
                let client = client.clone();
                reading.push(tokio::spawn(async move {
                    let answer = async { client.read(response.await?).await }.await;
                    Push {
                        request,
                        promised_at,
                        answer,
                    }
                }));
            }
            let mut pushes = Vec::new();
            for push in reading {
                pushes.push(push.await.expect("no panic"));
            }
            pushes
        })
    }

    async fn read(&self, response: Response<h2::RecvStream>) -> Result<Answer, h2::Error> {
        let head_at = self.started.elapsed();
        let (head, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = stream.data().await {
            let chunk = chunk?;
            stream.flow_control().release_capacity(chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        let trailers = stream.trailers().await?;
        let end_at = self.started.elapsed();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            trailers,
            head_at,
            end_at,
        })
    }
}
