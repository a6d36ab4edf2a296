//! Implements Pingora's custom session for one stream. The trait is doc-hidden: all code that touches it is in this
//! file, and Pingora is pinned to `~0.9.1`.
//!
//! A plan comes in the extensions of a response header, and is carried out before the header is sent. The client gets
//! two kinds of 1xx responses: 100 if it expects one, and 103 with the hints of a plan.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version, header, request::Parts};
use log::debug;
use pingora::{
    Error, ErrorType, OrErr, Result,
    apps::HttpServerApp,
    http::{RequestHeader, ResponseHeader},
    protocols::{
        Digest,
        http::{
            HttpTask,
            body_buffer::FixedBuffer,
            custom::{CustomMessageWrite, server::Session as CustomSession},
            date::get_cached_date,
            v1::client::http_req_header_to_wire,
        },
        l4::socket::SocketAddr,
    },
};

use super::{
    Http2Connection,
    early::{hold_back, join, join_all},
    failure::{read_error, write_error},
    push::push,
};
use crate::{
    exchange::{DateIsOrigins, PLACEHOLDER_DATE},
    h2::{
        core::{Reason, Response},
        stream::{Patience, Stream, StreamError},
    },
    peer::{ResponseLimit, Scheme},
    push::Plan,
    upstream::pace,
};

/// Bytes of a request body that are buffered for a retry on another origin server; the same number as in Pingora.
const RETRY_BUFFER: usize = 64 * 1024;

/// Polls of the task after which a 103 that was held back is sent. At the first, the future that reads the origin may
/// have been polled before; at the second it may be polled last; at the third its tasks are there.
const YIELDS: usize = 3;

/// A request or promise that Pingora's proxy serves.
pub(in crate::h2) struct Session<A> {
    request: RequestHeader,
    stream: Stream,
    connection: Arc<Http2Connection<A>>,
    /// The head of the final response, once it was sent.
    written: Option<Box<ResponseHeader>>,
    body_read: usize,
    /// The time at which the end of the request body was read.
    body_ended: Option<Instant>,
    body_sent: usize,
    retry_buffer: Option<FixedBuffer>,
    read_timeout: Duration,
    write_timeout: Duration,
    drain_timeout: Option<Duration>,
    /// The origin is read independently of the client, because the response is stored as it comes.
    is_decoupled: bool,
    /// A 103 that waits for others that have come already.
    early: Option<HttpTask>,
    outbox: Outbox,
}

/// Parts of the response that are to be sent, in order. Pingora drops the future that sends them when the origin has
/// more, so they are stored outside of that future.
#[derive(Default)]
struct Outbox {
    tasks: VecDeque<HttpTask>,
    /// The wait for the queue of the stream, after a part that made it long.
    patience: Option<Patience>,
    /// The end of the response was given to the stream.
    has_ended: bool,
}

impl<A: HttpServerApp + Send + Sync + 'static> Session<A> {
    pub(in crate::h2) fn new(head: Box<Parts>, stream: Stream, connection: Arc<Http2Connection<A>>) -> Self {
        Self {
            request: RequestHeader::from(*head),
            stream,
            written: None,
            body_read: 0,
            body_ended: None,
            body_sent: 0,
            retry_buffer: None,
            read_timeout: connection.limits.read_timeout,
            write_timeout: connection.limits.write_timeout,
            drain_timeout: None,
            is_decoupled: false,
            early: None,
            outbox: Outbox::default(),
            connection,
        }
    }

    /// Carries out the plan of a response header, and sends the header.
    fn write_header(&mut self, mut header: Box<ResponseHeader>, end: bool) -> Result<()> {
        if self.stream.has_ended() || self.written.is_some() {
            return Ok(());
        }
        self.write_held_back();
        let plan = header.extensions_mut().remove::<Plan>();
        if header.status == StatusCode::CONTINUE && self.request.headers.contains_key(header::EXPECT) {
            return self.write_continue();
        }
        if header.status.is_informational() {
            self.write_informational(plan.unwrap_or_default());
            return Ok(());
        }
        if let Some(plan) = plan {
            push(&self.connection, &mut self.stream, plan.promises);
        }
        let is_placeholder = |date| date == PLACEHOLDER_DATE && header.extensions.get::<DateIsOrigins>().is_none();
        if header.headers.get(header::DATE).is_none_or(is_placeholder) {
            header.insert_header(header::DATE, get_cached_date())?;
        }
        header.set_version(Version::HTTP_2);
        let response = Response {
            status: header.status,
            headers: &header.headers,
            is_end: end,
        };
        self.stream.respond(response).map_err(write_error)?;
        self.written = Some(header);
        Ok(())
    }

    /// Sends 100, so that a client with `Expect: 100-continue` sends its body.
    fn write_continue(&mut self) -> Result<()> {
        self.request.remove_header(&header::EXPECT);
        self.stream
            .inform(StatusCode::CONTINUE, &HeaderMap::new())
            .map_err(write_error)
    }

    /// Sends the 103 that was held back, if there is one.
    fn write_held_back(&mut self) {
        if let Some(HttpTask::Header(mut header, _)) = self.early.take() {
            self.write_informational(header.extensions_mut().remove::<Plan>().unwrap_or_default());
        }
    }

    /// Lets the future that reads the origin hand over all that has come, and then sends the 103 that was held back.
    ///
    /// Pingora polls that future and this one in the same task, in turns first and last, and ends this one as soon as
    /// tasks are there: see [`YIELDS`].
    async fn release_early(&mut self) {
        if self.early.is_some() {
            for _ in 0..YIELDS {
                tokio::task::yield_now().await;
            }
            self.write_held_back();
        }
    }

    /// Carries out an early plan. An error is only logged: it must not fail the document.
    fn write_informational(&mut self, plan: Plan) {
        push(&self.connection, &mut self.stream, plan.promises);
        if plan.hints.is_empty() {
            return;
        }
        let mut fields = plan.fields;
        for hint in plan.hints {
            fields.append(header::LINK, hint);
        }
        if let Err(e) = self.stream.inform(StatusCode::EARLY_HINTS, &fields) {
            debug!("stream {}: no 103: {e}", self.stream.id());
        }
    }

    async fn write_data(&mut self, data: Bytes, end: bool) -> Result<()> {
        match self.send_data(data, end)? {
            // Boxed because it is large, and because most writes do not wait.
            Some(mut patience) => Box::pin(self.stream.drained(&mut patience)).await.map_err(write_error),
            None => Ok(()),
        }
    }

    /// Sends content; returns the wait that is needed before more is sent.
    fn send_data(&mut self, data: Bytes, end: bool) -> Result<Option<Patience>> {
        if self.stream.has_ended() {
            return Ok(None);
        }
        if self.request.method == Method::HEAD {
            // For a response that may be stored, Pingora sends GET to the origin instead of HEAD.
            if end {
                self.end()?;
            }
            return Ok(None);
        }
        self.body_sent += data.len();
        self.stream.send(data, end, self.write_timeout).map_err(write_error)
    }

    /// Sends one part of the response, and stores the wait that is needed before the next one.
    fn write_task(&mut self, task: HttpTask) -> Result<()> {
        let is_last = match task {
            HttpTask::Header(header, end) => {
                self.write_header(header, end)?;
                end
            }
            HttpTask::Body(Some(data), end) if !data.is_empty() => {
                self.outbox.patience = self.send_data(data, end)?;
                end
            }
            HttpTask::Body(_, end) => end,
            HttpTask::UpgradedBody(..) => {
                return Error::e_explain(ErrorType::InternalError, "an upgraded body on HTTP/2");
            }
            HttpTask::Trailer(Some(trailers)) => {
                self.finish_with(*trailers)?;
                true
            }
            HttpTask::Trailer(None) | HttpTask::Done => true,
            HttpTask::Failed(e) => return Err(e),
        };
        if is_last {
            self.end()?;
            self.outbox.has_ended = true;
        }
        Ok(())
    }

    /// Sends parts of the response that came from the origin; returns whether the response has ended.
    async fn pass_on(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut tasks = join_all(self.early.take(), tasks);
        let early = hold_back(&mut tasks);
        for task in tasks {
            self.write_task(task)?;
            if let Some(mut patience) = self.outbox.patience.take() {
                // Boxed because it is large, and because most writes do not wait.
                Box::pin(self.stream.drained(&mut patience))
                    .await
                    .map_err(write_error)?;
            }
        }
        self.early = early;
        Ok(self.outbox.has_ended)
    }

    fn finish_with(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.stream.has_ended() {
            return Ok(());
        }
        self.stream.finish(Some(trailers)).map_err(write_error)
    }

    fn end(&mut self) -> Result<()> {
        self.stream.finish(None).map_err(write_error)
    }

    /// Waits for the next bytes of the request body, and copies them for a retry.
    async fn next_body(&mut self) -> Result<Option<Bytes>> {
        let data = self.stream.read(self.read_timeout).await.map_err(read_error)?;
        if self.stream.is_request_done() {
            self.body_ended.get_or_insert_with(Instant::now);
        }
        if let Some(data) = &data {
            self.body_read += data.len();
            if let Some(buffer) = &mut self.retry_buffer {
                buffer.write_to_buffer(data);
            }
        }
        Ok(data)
    }

    /// Resolves when the stream is reset. If the response has not begun, the origin is abandoned.
    fn poll_gone(&self, cx: &Context<'_>) -> Poll<StreamError> {
        let gone = self.stream.poll_reset(cx);
        if gone.is_ready() && self.written.is_none() {
            pace::abandoned();
            // The future that reads the origin belongs to the same task, and must see that the origin is abandoned.
            cx.waker().wake_by_ref();
        }
        gone
    }

    async fn drain(&mut self) -> Result<()> {
        while self.next_body().await?.is_some() {}
        Ok(())
    }

    fn declares_no_body(&self) -> bool {
        self.request
            .headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length == "0")
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> CustomSession for Session<A> {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.next_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        if self.is_body_done() {
            return Ok(());
        }
        match self.drain_timeout {
            None => self.drain().await,
            Some(limit) => tokio::time::timeout(limit, self.drain())
                .await
                .or_err(ErrorType::ReadTimedout, "while draining an HTTP/2 request")?,
        }
    }

    async fn write_response_header(&mut self, response: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.write_header(response, end)
    }

    async fn write_response_header_ref(&mut self, response: &ResponseHeader, end: bool) -> Result<()> {
        self.write_header(Box::new(response.clone()), end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.write_data(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.finish_with(trailers)
    }

    fn proxy_tasks_enabled(&self) -> bool {
        self.is_decoupled
    }

    fn set_proxy_tasks_enabled(&mut self, enabled: bool) {
        self.is_decoupled = enabled;
    }

    fn send_proxy_task(&mut self, task: HttpTask) {
        let task = join(self.outbox.tasks.back_mut(), task);
        self.outbox.tasks.extend(task);
    }

    fn has_pending_proxy_tasks(&self) -> bool {
        !self.outbox.tasks.is_empty() || self.outbox.patience.is_some()
    }

    async fn write_proxy_tasks(&mut self) -> Result<bool> {
        loop {
            if let Some(patience) = &mut self.outbox.patience {
                self.stream.drained(patience).await.map_err(write_error)?;
                self.outbox.patience = None;
            }
            let Some(task) = self.outbox.tasks.pop_front() else {
                return Ok(self.outbox.has_ended);
            };
            self.write_task(task)?;
        }
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        pace::on_header();
        let passed_on = self.pass_on(tasks).await;
        match passed_on {
            Ok(false) => pace::grant(),
            // Bytes that still come from the origin do not go to the client, so its pace does not limit them.
            Ok(true) | Err(_) => pace::release(),
        }
        passed_on
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout.unwrap_or(Duration::MAX);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        Some(self.read_timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout.unwrap_or(Duration::MAX);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        Some(self.write_timeout)
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_timeout = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain_timeout
    }

    fn request_summary(&self) -> String {
        format!("{} {}", self.request.method, self.request.uri)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }

    async fn shutdown(&mut self, code: u32, ctx: &str) {
        debug!("stream {}: reset with {code}: {ctx}", self.stream.id());
        pace::release();
        self.stream.reset(Reason(code));
    }

    async fn abandon(&mut self, ctx: &str) {
        let reason = self.stream.failure_reason();
        self.shutdown(reason.0, ctx).await;
    }

    fn is_body_done(&mut self) -> bool {
        self.is_body_empty() || self.stream.is_request_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.end()
    }

    fn is_body_empty(&mut self) -> bool {
        self.body_read == 0 && (self.stream.is_request_done() || self.declares_no_body())
    }

    /// Returns the next bytes of the request; once the request is complete, waits until the stream is reset or the
    /// time limit of the response has passed, and returns the error.
    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        self.release_early().await;
        if !no_body_expected && !self.is_body_done() {
            // The time limit of the response counts from the end of the request.
            return self.next_body().await;
        }
        // Pingora polls this future and the one that reads the origin's response at once.
        let response_limit = self.request.extensions.get::<ResponseLimit>().copied();
        let gone = poll_fn(|cx| self.poll_gone(cx));
        let Some(ResponseLimit { since, limit }) = response_limit.filter(|_| self.written.is_none()) else {
            return Err(write_error(gone.await));
        };
        let since = self.body_ended.map_or(since, |ended| ended.max(since));
        match tokio::time::timeout_at((since + limit).into(), gone).await {
            Ok(gone) => Err(write_error(gone)),
            Err(_) => Error::e_explain(
                ErrorType::Custom(ResponseLimit::PASSED),
                "while the origin's answer is awaited",
            ),
        }
    }

    fn body_bytes_sent(&self) -> usize {
        self.body_sent
    }

    fn body_bytes_read(&self) -> usize {
        self.body_read
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.connection.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        None
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.connection.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.connection.digest.socket_digest.as_ref()?.local_addr()
    }

    /// Returns the request in HTTP/1.1, from which Pingora makes a background request to revalidate a stored response.
    /// HTTP/1.1 has the authority in Host and no place for the scheme: [`Scheme::FIELD`] carries it.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        let mut request = self.request.clone();
        request.set_version(Version::HTTP_11);
        let uri = &self.request.uri;
        let scheme = uri.scheme_str().unwrap_or_default();
        let mut inserted = request.insert_header(Scheme::FIELD, scheme);
        if let Some(authority) = uri.authority() {
            inserted = inserted.and(request.insert_header(header::HOST, authority.as_str()));
        }
        let wire = inserted.ok().and_then(|()| http_req_header_to_wire(&request));
        wire.map_or_else(Bytes::new, |wire| wire.freeze())
    }

    fn enable_retry_buffering(&mut self) {
        if !self.stream.is_request_done() && self.retry_buffer.is_none() {
            self.retry_buffer = Some(FixedBuffer::new(RETRY_BUFFER));
        }
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.retry_buffer.as_ref().is_some_and(FixedBuffer::is_truncated)
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.retry_buffer
            .as_ref()
            .filter(|buffer| !buffer.is_truncated())
            .and_then(FixedBuffer::get_buffer)
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn futures_core::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn futures_core::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
