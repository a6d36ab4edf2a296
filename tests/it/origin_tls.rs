//! TLS to the origin: whose certificates are taken, and that nothing is shared between pools that see
//! it differently.

use std::net::Ipv4Addr;

use crate::support::{
    client::Client,
    dns::{Dns, Says},
    edge::{Edge, PAGES},
    origin::Origin,
    tls_front::{Hello, TlsFront},
};

const NAME: &str = "app.example";

async fn start() -> (Origin, TlsFront) {
    let origin = Origin::start().await;
    origin.default_ok(b"secret");
    let front = TlsFront::start(origin.address, NAME).await;
    (origin, front)
}

fn config(front: &TlsFront, tls: &str) -> String {
    let address = front.address;
    format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ app: {{ servers: ['{address}'], tls: {tls} }} }}\n{PAGES}"
    )
}

async fn status(edge: &Edge) -> u16 {
    Client::connect(edge.address)
        .await
        .get("/")
        .await
        .answer
        .status
        .as_u16()
}

#[tokio::test]
async fn a_certificate_of_the_given_authority_for_the_name_is_taken() {
    let (_origin, front) = start().await;
    let ca = front.ca.path().display();
    let edge = Edge::with(&config(&front, &format!("{{ ca: '{ca}', sni: {NAME} }}"))).await;
    let client = Client::connect(edge.address).await;
    assert_eq!(client.get("/").await.answer.body, b"secret");
    assert_eq!(client.get("/").await.answer.body, b"secret");
    let hello = Hello {
        name: Some(NAME.to_owned()),
        protocol: Some(b"http/1.1".to_vec()),
    };
    assert_eq!(
        front.hellos(),
        [hello],
        "one connection, HTTP/1.1, and the name is asked for"
    );
}

#[tokio::test]
async fn the_name_is_the_servers_own_unless_another_is_given() {
    let (_origin, front) = start().await;
    let dns = Dns::start(Says::Addresses(vec![Ipv4Addr::LOCALHOST], 60)).await;
    let (ca, port) = (front.ca.path().display(), front.address.port());
    let edge = Edge::with(&format!(
        "server: {{ resolver: {{ servers: ['{}'] }} }}\nlisteners: [{{ address: 127.0.0.1:0 }}]\n\
         upstreams: {{ app: {{ servers: ['{NAME}:{port}'], tls: {{ ca: '{ca}' }} }} }}\n{PAGES}",
        dns.address
    ))
    .await;
    assert_eq!(status(&edge).await, 200);
    assert_eq!(front.hellos()[0].name.as_deref(), Some(NAME));
}

#[tokio::test]
async fn another_authority_or_another_name_is_a_502_that_says_so() {
    let (origin, front) = start().await;
    let (_, stranger) = start().await;
    let ca = stranger.ca.path().display();
    let edge = Edge::with(&config(&front, &format!("{{ ca: '{ca}', sni: {NAME} }}"))).await;
    assert_eq!(status(&edge).await, 502);
    edge.log_line(&["/ 502", "TLS failed: invalid peer certificate"]).await;
    let ca = front.ca.path().display();
    let edge = Edge::with(&config(&front, &format!("{{ ca: '{ca}', sni: other.example }}"))).await;
    assert_eq!(status(&edge).await, 502);
    edge.log_line(&["/ 502", "TLS failed", "not valid for name", "other.example"])
        .await;
    assert_eq!(origin.count("/"), 0, "nothing was sent to a server that nobody knows");
}

#[tokio::test]
async fn the_systems_authorities_count_without_a_given_one() {
    let (_origin, front) = start().await;
    let config = config(&front, &format!("{{ sni: {NAME} }}"));
    let edge = Edge::with(&config).await;
    assert_eq!(status(&edge).await, 502, "the system does not know this one");
    let edge = Edge::with_env(&config, &[("SSL_CERT_FILE", front.ca.path().as_os_str())]).await;
    assert_eq!(status(&edge).await, 200);
}

#[tokio::test]
async fn verify_off_takes_any_certificate_and_warns() {
    let (_origin, front) = start().await;
    let edge = Edge::with(&config(&front, "{ verify: off }")).await;
    assert_eq!(status(&edge).await, 200);
    edge.log_line(&["upstream app: verify is off"]).await;
}

#[tokio::test]
async fn pools_never_share_a_connection() {
    let (_origin, front) = start().await;
    let (_, stranger) = start().await;
    let (address, ca, strange) = (front.address, front.ca.path().display(), stranger.ca.path().display());
    let pool = |name: &str, tls: &str| {
        format!("  {name}: {{ servers: ['{address}'], ejection: off, tls: {{ sni: {NAME}, {tls} }} }}\n")
    };
    let pools = [
        pool("lax", "verify: off"),
        pool("right", &format!("ca: '{ca}'")),
        pool("wrong", &format!("ca: '{strange}'")),
    ]
    .concat();
    let route = |name: &str| format!("  - {{ name: {name}, match: {{ path: ^/{name} }}, upstream: {name} }}\n");
    let routes = ["lax", "right", "wrong"].map(route).concat();
    let edge = Edge::with(&format!(
        "listeners: [{{ address: 127.0.0.1:0 }}]\nupstreams:\n{pools}routes:\n{routes}"
    ))
    .await;
    let client = Client::connect(edge.address).await;
    for _ in 0..2 {
        for (path, status) in [("/lax", 200), ("/right", 200), ("/wrong", 502)] {
            assert_eq!(client.get(path).await.answer.status, status, "{path}");
        }
    }
    assert_eq!(
        front.hellos().len(),
        2,
        "one kept connection for each pool that has any"
    );
}

#[tokio::test]
async fn health_checks_use_the_same_tls() {
    let (origin, front) = start().await;
    let (address, ca) = (front.address, front.ca.path().display());
    let config = |tls: &str| {
        format!(
            "listeners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ app: {{ servers: ['{address}'], tls: {{ {tls} }}, \
             health_check: {{ path: /health, interval: 50ms, unhealthy_after: 1 }} }} }}\n{PAGES}"
        )
    };
    let edge = Edge::with(&config(&format!("ca: '{ca}', sni: {NAME}"))).await;
    origin.request("/health").await;
    assert_eq!(status(&edge).await, 200);
    let edge = Edge::with(&config(&format!("ca: '{ca}', sni: other.example"))).await;
    edge.log_line(&["is unhealthy: TLS failed", "not valid for name"]).await;
    assert_eq!(status(&edge).await, 503);
}
