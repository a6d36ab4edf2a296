//! A scripted HTTP/1.1 origin: each path answers with a list of steps.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::AbortHandle,
};

/// One thing the origin does while it answers.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these bytes as they are.
    Send(Vec<u8>),
    /// Models think time.
    Think(Duration),
    /// Waits until the test opens this gate with [`Origin::open`].
    Gate(&'static str),
    /// Closes the connection at once.
    Close,
}

/// A request as the origin saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `GET /path HTTP/1.1`
    pub line: String,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When its head was complete.
    pub at: Instant,
}

impl Seen {
    /// The path with its query.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or("")
    }

    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<HashMap<String, Vec<Step>>>,
    conditional: Mutex<HashMap<String, Vec<Step>>>,
    default: Mutex<Option<Vec<Step>>>,
    once: Mutex<Option<Vec<Step>>>,
    seen: Mutex<Vec<Seen>>,
    arrived: Notify,
    gates: Mutex<HashMap<&'static str, Arc<Semaphore>>>,
    open_connections: AtomicUsize,
    made_connections: AtomicUsize,
    connection_closed: Notify,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// A running origin; stops with the runtime of its test.
#[derive(Clone)]
pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// A whole response: status line, fields, content-length, body.
pub fn response(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// A 103 with these Link field lines.
pub fn early_hints(links: &[&str]) -> Vec<u8> {
    let links: String = links.iter().map(|link| format!("link: {link}\r\n")).collect();
    format!("HTTP/1.1 103 Early Hints\r\n{links}\r\n").into_bytes()
}

impl Origin {
    /// Starts an origin that answers 404 to everything that is not scripted.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address")).await
    }

    /// Starts an origin at an address, any of 127.0.0.0/8.
    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let origin = Self { address, shared };
        let accepting = origin.clone();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let origin = accepting.clone();
                let serving = tokio::spawn(async move {
                    origin.shared.open_connections.fetch_add(1, Ordering::SeqCst);
                    origin.shared.made_connections.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.set_nodelay(true);
                    let _ = origin.serve(stream).await;
                    origin.shared.open_connections.fetch_sub(1, Ordering::SeqCst);
                    origin.shared.connection_closed.notify_waiters();
                });
                accepting
                    .shared
                    .tasks
                    .lock()
                    .expect("no panic")
                    .push(serving.abort_handle());
            }
        });
        origin
            .shared
            .tasks
            .lock()
            .expect("no panic")
            .push(listening.abort_handle());
        origin
    }

    /// Dies: closes its listener and its connections, whatever they are at.
    pub async fn kill(&self) {
        super::within("an origin to die", async {
            while TcpStream::connect(self.address).await.is_ok() {
                for task in self.shared.tasks.lock().expect("no panic").drain(..) {
                    task.abort();
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Scripts the answer of a path (with its query); or of a path on one host, which goes before: `host/path`.
    pub fn on(&self, path: &str, steps: impl Into<Vec<Step>>) -> &Self {
        self.shared
            .scripts
            .lock()
            .expect("no panic")
            .insert(path.to_owned(), steps.into());
        self
    }

    /// Scripts the answer of a path to requests with `If-None-Match` or `If-Modified-Since`; others have that of [`Origin::on`].
    pub fn on_condition(&self, path: &str, steps: impl Into<Vec<Step>>) -> &Self {
        self.shared
            .conditional
            .lock()
            .expect("no panic")
            .insert(path.to_owned(), steps.into());
        self
    }

    /// Forgets every script but the default.
    pub fn clear(&self) {
        self.shared.conditional.lock().expect("no panic").clear();
        self.shared.scripts.lock().expect("no panic").clear();
    }

    /// Scripts a plain 200 with a body and these fields.
    pub fn serve_ok(&self, path: &str, fields: &[(&str, &str)], body: &[u8]) -> &Self {
        self.on(path, [Step::Send(response("200 OK", fields, body))])
    }

    /// Scripts a cacheable asset.
    pub fn asset(&self, path: &str, body: &[u8]) -> &Self {
        self.serve_ok(path, &[("cache-control", "max-age=60")], body)
    }

    /// Answers everything that is not scripted with a cacheable 200 and this body.
    pub fn default_ok(&self, body: &[u8]) -> &Self {
        let steps = vec![Step::Send(response("200 OK", &[("cache-control", "max-age=60")], body))];
        *self.shared.default.lock().expect("no panic") = Some(steps);
        self
    }

    /// Closes the connection of the next request, whatever it asks for, after these bytes; but only a connection that has
    /// answered before. Whether the edge takes a kept connection or a new one is up to it: see [`Origin::has_closed`].
    pub fn close_kept_after(&self, bytes: Vec<u8>) {
        *self.shared.once.lock().expect("no panic") = Some(vec![Step::Send(bytes), Step::Close]);
    }

    /// Whether what [`Origin::close_kept_after`] asked for has come to pass.
    pub fn has_closed(&self) -> bool {
        self.shared.once.lock().expect("no panic").is_none()
    }

    /// Opens a gate once.
    pub fn open(&self, gate: &'static str) {
        self.gate(gate).add_permits(1);
    }

    fn gate(&self, gate: &'static str) -> Arc<Semaphore> {
        let mut gates = self.shared.gates.lock().expect("no panic");
        Arc::clone(gates.entry(gate).or_insert_with(|| Arc::new(Semaphore::new(0))))
    }

    /// Requests seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panic").clone()
    }

    /// Forgets the requests seen so far.
    pub fn forget_seen(&self) {
        self.shared.seen.lock().expect("no panic").clear();
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path() == path).count()
    }

    /// The first request for a path, once it has arrived.
    pub async fn request(&self, path: &str) -> Seen {
        super::within(&format!("a request for {path}"), async {
            loop {
                let arrived = self.shared.arrived.notified();
                if let Some(seen) = self.seen().into_iter().find(|seen| seen.path() == path) {
                    return seen;
                }
                arrived.await;
            }
        })
        .await
    }

    /// Resolves when a path has been asked for this often.
    pub async fn requests(&self, path: &str, count: usize) {
        super::within(&format!("{count} requests for {path}"), async {
            loop {
                let arrived = self.shared.arrived.notified();
                if self.count(path) >= count {
                    return;
                }
                arrived.await;
            }
        })
        .await;
    }

    /// Connections that the edge has made so far.
    pub fn connections_made(&self) -> usize {
        self.shared.made_connections.load(Ordering::SeqCst)
    }

    /// Resolves when at most this many connections from the edge are open.
    pub async fn connections_at_most(&self, most: usize) {
        super::within("origin connections to close", async {
            loop {
                let closed = self.shared.connection_closed.notified();
                if self.shared.open_connections.load(Ordering::SeqCst) <= most {
                    return;
                }
                closed.await;
            }
        })
        .await;
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        let mut kept = false;
        while let Some(seen) = read_request(&mut stream, &mut buffer).await? {
            let path = seen.path().to_owned();
            let on_host = seen.field("host").map(|host| format!("{host}{path}"));
            let head = seen.line.starts_with("HEAD ");
            let has_condition = seen
                .field("if-none-match")
                .or(seen.field("if-modified-since"))
                .is_some();
            self.shared.seen.lock().expect("no panic").push(seen);
            self.shared.arrived.notify_waiters();
            let conditional = self.shared.conditional.lock().expect("no panic").get(&path).cloned();
            let scripts = {
                let scripts = self.shared.scripts.lock().expect("no panic");
                let of_host = on_host.and_then(|path| scripts.get(&path));
                of_host.or_else(|| scripts.get(&path)).cloned()
            };
            let steps = conditional.filter(|_| has_condition).or(scripts);
            let once = self.shared.once.lock().expect("no panic").take_if(|_| kept);
            kept = true;
            let steps = once
                .or(steps)
                .or_else(|| self.shared.default.lock().expect("no panic").clone())
                .unwrap_or_else(|| vec![Step::Send(response("404 Not Found", &[], b"no such path"))]);
            for step in steps {
                match step {
                    Step::Send(bytes) if head => {
                        let end = bytes
                            .windows(4)
                            .position(|w| w == b"\r\n\r\n")
                            .map_or(bytes.len(), |at| at + 4);
                        stream.write_all(&bytes[..end]).await?;
                    }
                    Step::Send(bytes) => self.write(&mut stream, &bytes).await?,
                    Step::Think(time) => tokio::time::sleep(time).await,
                    Step::Gate(gate) => {
                        // The edge may hang up while the origin thinks.
                        let mut probe = [0; 1];
                        tokio::select! {
                            permit = async { self.gate(gate).acquire_owned().await } => permit.expect("open").forget(),
                            _ = stream.peek(&mut probe) => return Ok(()),
                        }
                    }
                    Step::Close => return Ok(()),
                }
            }
        }
        Ok(())
    }

    async fn write(&self, stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        stream.write_all(bytes).await?;
        stream.flush().await
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Seen>> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let line = lines.next().unwrap_or("").to_owned();
    let fields: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut seen = Seen {
        line,
        fields,
        body: Vec::new(),
        at: Instant::now(),
    };
    if let Some(length) = seen.field("content-length").and_then(|v| v.parse::<usize>().ok()) {
        while buffer.len() < length {
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
        seen.body = buffer.drain(..length).collect();
    } else if seen.field("transfer-encoding").is_some() {
        loop {
            if let Some(end) = buffer.windows(5).position(|w| w == b"0\r\n\r\n") {
                seen.body = buffer.drain(..end + 5).collect();
                break;
            }
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
    Ok(Some(seen))
}
