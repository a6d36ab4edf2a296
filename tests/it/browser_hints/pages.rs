//! A browser that loads many pages, each in a profile of its own: `clients/pages.js`.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

/// A browser of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Chromium,
    Firefox,
}

/// A running browser; ended when dropped.
pub struct Pages {
    child: Child,
    input: Mutex<Option<ChildStdin>>,
    waiting: Arc<Mutex<HashMap<usize, oneshot::Sender<Value>>>>,
    next: AtomicUsize,
    at_a_time: Semaphore,
}

/// Pages that load at a time: while an origin thinks, the processor has time for the next page.
const AT_A_TIME: usize = 3;

/// How long a visit may take, the start of the browser included.
const LIMIT: Duration = Duration::from_secs(120);

const ENDED: &str = "the browser's driver has ended: its standard error says why";

impl Pages {
    /// Starts a browser for which every host is at this address, with this certificate.
    pub fn start(kind: Kind, certificate: &Path, address: SocketAddr) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/pages.js");
        let name = match kind {
            Kind::Chromium => "chromium",
            Kind::Firefox => "firefox",
        };
        let child = Command::new("node")
            .arg(script)
            .arg(name)
            .arg(certificate)
            .arg(address.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("node, which tests/support/install.sh test installs");
        let printed = BufReader::new(child.stdout.take().expect("piped"));
        let waiting: Arc<Mutex<HashMap<usize, oneshot::Sender<Value>>>> = Arc::default();
        let hears = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                let told: Value = serde_json::from_str(&line).expect("JSON");
                let id = told["id"].as_u64().expect("a number") as usize;
                if let Some(sender) = hears.lock().expect("no panic").remove(&id) {
                    let _ = sender.send(told);
                }
            }
            // Nobody answers any more: whoever waits is to hear of it.
            hears.lock().expect("no panic").clear();
        });
        Self {
            input: Mutex::new(child.stdin.take()),
            child,
            waiting,
            next: AtomicUsize::new(0),
            at_a_time: Semaphore::new(AT_A_TIME),
        }
    }

    /// Loads a page in a new profile; returns how long it took from the navigation's begin to the end of the load event.
    pub async fn load(&self, url: &str) -> Duration {
        let _permit = self.at_a_time.acquire().await.expect("never closed");
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, told) = oneshot::channel();
        self.waiting.lock().expect("no panic").insert(id, sender);
        let line = json!({ "id": id, "url": url });
        let written = match &mut *self.input.lock().expect("no panic") {
            Some(input) => writeln!(input, "{line}"),
            None => Ok(()),
        };
        written.unwrap_or_else(|error| panic!("{ENDED}: {error}"));
        let told = tokio::time::timeout(LIMIT, told).await;
        let told = told.unwrap_or_else(|_| panic!("{url}: not loaded within {LIMIT:?}"));
        let told = told.expect(ENDED);
        assert_eq!(told["protocol"], "h2", "{url}: {told}");
        Duration::from_secs_f64(told["load"].as_f64().expect("a number") / 1000.0)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // The end of its input ends the driver, which ends the browser.
        drop(self.input.lock().map(|mut input| input.take()));
        for _ in 0..1000 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
