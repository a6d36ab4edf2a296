//! Sites behind one edge with TLS: each page has a host where links are learned and
//! hinted, one where the origin's own 103 is all, and one where nothing is hinted.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use h2::client::Builder;

use crate::support::{
    client::{Client, Page},
    edge::Edge,
    origin::{Origin, Seen, Step, response},
    tls::{Issued, issue},
};

/// The host of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// `push: auto, learn: on`.
    On,
    /// `push: auto`: only what the origin's own 103 says.
    Early,
    /// `push: off`.
    Off,
}

/// How long the origin thinks about a page.
pub const THINK: Duration = Duration::from_millis(300);

/// An edge with an origin behind it.
pub struct Sites {
    pub origin: Origin,
    pub edge: Edge,
    issued: Issued,
    folder: tempfile::TempDir,
}

/// A page with all it is made of. In each text, `shop.example` stands for its host, `cdn.example`, `cdn.shop.example`
/// and `cdn.shopify.com` for another host.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its number: that of its hosts, and the last segment of its path.
    pub number: usize,
    /// Fields of the page besides Content-Type.
    pub fields: Vec<(&'static str, String)>,
    /// Fields of the 103s that the origin sends first.
    pub early: Vec<Vec<(&'static str, String)>>,
    /// Elements of its head.
    pub head: String,
    /// What its assets are, by target as a link has it.
    pub assets: Vec<Asset>,
}

/// An asset that a page loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The target as a link has it.
    pub target: String,
    pub content_type: &'static str,
    /// Fields of its response besides Content-Type.
    pub fields: Vec<(&'static str, &'static str)>,
}

impl Sites {
    pub async fn start() -> Self {
        let origin = Origin::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let issued = issue(&["*.on.example", "*.early.example", "*.off.example", "127.0.0.1"]);
        issued.write(folder.path(), "site");
        let path = folder.path().display();
        // Nothing is stored by the edge, so that the origin sees what a browser asks for.
        let edge = Edge::with(&format!(
            "listeners: [{{ address: '127.0.0.1:0', tls: {{ certificates: [{{ cert: {path}/site.pem, key: {path}/site.key }}] }} }}]\n\
             upstreams: {{ app: {{ servers: ['{}'] }} }}\n\
             routes:\n\
             - {{ name: off, match: {{ host: '*.off.example' }}, upstream: app, cache: off, push: off, learn: off }}\n\
             - {{ name: early, match: {{ host: '*.early.example' }}, upstream: app, cache: off, push: auto, learn: off }}\n\
             - {{ name: on, match: {{ host: '*.on.example' }}, upstream: app, cache: off, push: auto, learn: on }}\n",
            origin.address
        ))
        .await;
        Self {
            origin,
            edge,
            issued,
            folder,
        }
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("site.pem")
    }

    pub fn address(&self) -> SocketAddr {
        self.edge.address
    }

    /// Has the origin answer for a page, about which it thinks for a while, and its assets, on all of its hosts.
    pub fn serve(&self, spec: &Spec, think: Duration) {
        for zone in [Zone::On, Zone::Early, Zone::Off] {
            let fields: Vec<_> = spec
                .fields
                .iter()
                .map(|(name, value)| (*name, spec.put(zone, value)))
                .collect();
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let fields = [&[("content-type", "text/html; charset=utf-8")], &fields[..]].concat();
            let html = format!(
                "<!doctype html><html><head><meta charset=utf-8><link rel=icon href=data:,>{}</head><body><h1>page</h1></body></html>",
                spec.put(zone, &spec.head)
            );
            let answer = Step::Send(response("200 OK", &fields, html.as_bytes()));
            let path = format!("{}{}", spec.host(zone), spec.path());
            let mut steps: Vec<Step> = spec
                .early
                .iter()
                .map(|fields| Step::Send(early(spec, zone, fields)))
                .collect();
            steps.extend([Step::Think(think), answer]);
            self.origin.on(&path, steps);
            let allowed = format!("https://{}", spec.host(zone));
            for asset in &spec.assets {
                let fields = [
                    &asset.fields[..],
                    &[
                        ("content-type", asset.content_type),
                        ("access-control-allow-origin", &allowed),
                        ("access-control-allow-credentials", "true"),
                    ],
                ]
                .concat();
                let url = spec.locate(zone, &asset.target);
                self.origin.serve_ok(&url, &fields, body(asset.content_type));
            }
        }
    }

    /// Navigates to a page as a browser does, on a connection of its own.
    pub async fn navigate(&self, spec: &Spec, zone: Zone) -> Page {
        self.connect(spec, zone, Builder::new().enable_push(false))
            .await
            .navigate(&spec.path())
            .await
    }

    /// Fetches a page as a client that takes pushes.
    pub async fn fetch(&self, spec: &Spec) -> Page {
        self.connect(spec, Zone::On, &Builder::new())
            .await
            .get(&spec.path())
            .await
    }

    async fn connect(&self, spec: &Spec, zone: Zone, builder: &Builder) -> Client {
        let host = spec.host(zone);
        let tls = self.issued.connect(self.address(), &host, &["h2"]).await;
        Client::over(tls, &format!("https://{host}"), builder).await
    }

    /// The requests for a page and its assets so far.
    pub fn seen(&self, spec: &Spec, zone: Zone) -> Vec<Seen> {
        let hosts = [spec.host(zone), spec.other_host(zone)];
        let seen = self.origin.seen();
        seen.into_iter()
            .filter(|seen| {
                seen.field("host")
                    .is_some_and(|host| hosts.iter().any(|own| own == host))
            })
            .collect()
    }
}

/// The URL of a request, without its scheme.
pub fn location(seen: &Seen) -> String {
    format!("{}{}", seen.field("host").unwrap_or_default(), seen.path())
}

impl Spec {
    pub fn host(&self, zone: Zone) -> String {
        format!("{}.{}.example", self.number, name(zone))
    }

    fn other_host(&self, zone: Zone) -> String {
        format!("cdn-{}.{}.example", self.number, name(zone))
    }

    /// One level deep, as relative targets of frameworks have it.
    pub fn path(&self) -> String {
        format!("/shop/{}", self.number)
    }

    pub fn url(&self, zone: Zone) -> String {
        format!("https://{}{}", self.host(zone), self.path())
    }

    /// A text with the page's hosts in it.
    pub fn put(&self, zone: Zone, text: &str) -> String {
        let mut text = text.to_owned();
        for other in ["cdn.shop.example", "cdn.shopify.com", "cdn.example"] {
            text = text.replace(other, &self.other_host(zone));
        }
        text.replace("shop.example", &self.host(zone))
    }

    /// The URL that a target is, without its scheme.
    pub fn locate(&self, zone: Zone, target: &str) -> String {
        let base = url::Url::parse(&self.url(zone)).expect("a URL");
        let url = base.join(&self.put(zone, target)).expect("a target");
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{}{query}", url.host_str().expect("a host"), url.path())
    }
}

const fn name(zone: Zone) -> &'static str {
    match zone {
        Zone::On => "on",
        Zone::Early => "early",
        Zone::Off => "off",
    }
}

/// A 103 with these fields.
fn early(spec: &Spec, zone: Zone, fields: &[(&str, String)]) -> Vec<u8> {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", spec.put(zone, value)));
    format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", fields.collect::<String>()).into_bytes()
}

/// Empty, so that it fits the `integrity` that rows have, but for what a browser would not show.
fn body(content_type: &str) -> &'static [u8] {
    match content_type {
        "image/svg+xml" => b"<svg xmlns='http://www.w3.org/2000/svg' width='7' height='7'/>",
        "application/json" => b"{}",
        _ => b"",
    }
}
