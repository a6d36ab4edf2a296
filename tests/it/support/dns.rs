//! A name server of the test's, over UDP: every name has the same addresses.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{net::UdpSocket, sync::Notify};

/// What it says to a question for A; for AAAA there is nothing.
#[derive(Clone, Debug)]
pub enum Says {
    /// These addresses, with this TTL in seconds.
    Addresses(Vec<Ipv4Addr>, u32),
    /// An error with this code: 2 is SERVFAIL, 3 is NXDOMAIN.
    Error(u8),
    /// Nothing.
    Nothing,
}

/// A running name server; stops with the runtime of its test.
pub struct Dns {
    pub address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<(AtomicUsize, Notify)>,
}

impl Dns {
    /// Starts a name server.
    pub async fn start(says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let dns = Self {
            address: socket.local_addr().expect("an address"),
            says: Arc::new(Mutex::new(says)),
            asked: Arc::default(),
        };
        let (says, asked) = (Arc::clone(&dns.says), Arc::clone(&dns.asked));
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let says = says.lock().expect("no panic").clone();
                if let Some(answer) = answer(&packet[..length], &says) {
                    let _ = socket.send_to(&answer, from).await;
                }
                asked.0.fetch_add(1, Ordering::SeqCst);
                asked.1.notify_waiters();
            }
        });
        dns
    }

    /// Says something else from now on.
    pub fn say(&self, says: Says) {
        *self.says.lock().expect("no panic") = says;
    }

    /// Waits for this many more questions.
    pub async fn questions(&self, count: usize) {
        let until = self.asked.0.load(Ordering::SeqCst) + count;
        super::within("questions to the name server", async {
            loop {
                let asked = self.asked.1.notified();
                if self.asked.0.load(Ordering::SeqCst) >= until {
                    return;
                }
                asked.await;
            }
        })
        .await;
    }
}

/// The answer to a packet with one question (RFC 1035 section 4.1).
fn answer(packet: &[u8], says: &Says) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let mut end = HEADER;
    while *packet.get(end)? != 0 {
        end += 1 + usize::from(packet[end]);
    }
    let question = packet.get(HEADER..end + 5)?;
    let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
    let (code, addresses, ttl) = match says {
        Says::Addresses(addresses, ttl) if is_a => (0, &addresses[..], *ttl),
        Says::Addresses(..) => (0, &[][..], 0),
        Says::Error(code) => (*code, &[][..], 0),
        Says::Nothing => return None,
    };
    let mut answer = packet[..2].to_vec();
    // A response, recursion desired and available; one question, some answers.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    answer.extend(question);
    for address in addresses {
        // The name of the question, A, IN, the TTL, four bytes.
        answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
