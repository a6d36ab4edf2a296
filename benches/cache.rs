//! Measures the store under a scan: ten million small responses are requested once each, then large ones, while 10,000
//! URLs are requested repeatedly. Prints the store's contents, the resident memory, and the time of a look-up.
//!
//! `cargo bench --bench cache -- --objects 10000000 --bytes 256 --minutes 10`: `--bytes` in MiB; `--minutes` of mixed
//! load at the end, with a line for each minute. In a full store the resident memory must not grow with the requests.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark prints its figures"
)]

mod support;

use std::{
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use linkpush::cache::{Store, StoreLimits, cache_key, url_text};
use pingora::http::ResponseHeader;
use pingora_cache::{CacheMeta, Storage, trace::Span};
use support::{process::own_resident, program};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const UPSTREAM: &str = "app";
const AUTHORITY: &str = "shop.example";

/// URLs that are requested repeatedly.
const USED: u64 = 10_000;

fn main() {
    let option =
        |name: &str, default: u64| program::value(name).map_or(default, |value| value.parse().expect("a number"));
    let bound = option("--bytes", 256) << 20;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let bench = Bench::new(bound);
        bench.tell("empty").await;
        let asked = Instant::now();
        let used = bench.scan("small", option("--objects", 10_000_000), 300).await;
        bench.tell("small objects").await;
        println!(
            "  {:.1} µs for each, {used:.1} % of what is used was there",
            asked.elapsed().as_secs_f64() * 1e6 / option("--objects", 10_000_000) as f64
        );
        let used = bench.scan("large", option("--large", 20_000), 1 << 20).await;
        bench.tell("objects of 1 MiB").await;
        println!("  {used:.1} % of what is used was there");
        bench.look_up();
        bench.soak(option("--minutes", 0)).await;
    });
}

struct Bench {
    store: &'static Store,
    bound: u64,
    fields: HeaderMap,
    large: Bytes,
}

impl Bench {
    fn new(bytes: u64) -> Self {
        let limits = StoreLimits { bytes, object: 4 << 20 };
        let fields = [
            ("content-type", "text/css"),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("etag", "\"5f3c8a6e-1b2d\""),
            ("last-modified", "Wed, 25 Nov 2026 07:00:00 GMT"),
            ("date", "Wed, 25 Nov 2026 07:00:00 GMT"),
            ("server", "nginx"),
            ("vary", "accept-encoding"),
        ];
        let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Self {
            store: Box::leak(Box::new(Store::new(limits, (1, 2)))),
            bound: bytes,
            fields: fields.map(field).into_iter().collect(),
            large: Bytes::from(vec![b'x'; 4 << 20]),
        }
    }

    /// Requests a URL as the proxy does, and stores the response if there is none. Returns whether there was one.
    async fn ask(&self, path: &str, length: usize) -> bool {
        let hash = self.store.hasher().url("https", AUTHORITY, path);
        if self.store.find(hash, UPSTREAM, &self.fields).is_some() {
            return true;
        }
        let text = url_text("https", AUTHORITY, path);
        let key = cache_key(self.store, hash, text, UPSTREAM);
        let trace = Span::inactive().handle();
        let found = self.store.lookup(&key, &trace).await.expect("a look-up");
        assert!(found.is_none(), "it was not there before");
        let mut response = ResponseHeader::build(200, None).expect("a header");
        for (name, value) in &self.fields {
            response.append_header(name, value.clone()).expect("a field");
        }
        let now = SystemTime::now();
        let mut meta = CacheMeta::new(now + Duration::from_secs(3600), now, 0, 0, response);
        if let Some(variance) = self.store.variance(meta.headers(), &self.fields) {
            meta.set_variance(variance);
        }
        let mut filling = self.store.get_miss_handler(&key, &meta, &trace).await.expect("a fill");
        // Each piece is an allocation of its own, like a piece that is read from an origin.
        for part in self.large.slice(..length).chunks(64 * 1024) {
            let written = filling.write_body(Bytes::copy_from_slice(part), false).await;
            written.expect("written");
        }
        filling.finish().await.expect("an end");
        false
    }

    /// Requests `count` URLs once each, and after every fifth a used URL. Returns the percentage of used URLs that were
    /// stored.
    async fn scan(&self, kind: &str, count: u64, length: usize) -> f64 {
        let (mut there, mut asked) = (0_u32, 0_u32);
        for n in 0..count {
            self.ask(&format!("/{kind}/{n}.css"), length).await;
            if n % 5 == 0 {
                // A scattered order, without a period.
                let used = (n / 5).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
                there += u32::from(self.ask(&format!("/used/{}.css", used % USED), 1000).await);
                asked += 1;
            }
        }
        f64::from(there) * 100.0 / f64::from(asked.max(1))
    }

    async fn tell(&self, after: &str) {
        let (answers, bytes) = self.store.size();
        // Lets the runtime and the store drop what they have put off.
        tokio::task::yield_now().await;
        println!(
            "{after}: {answers} answers, {} of {} MiB by weight, {} MiB resident",
            bytes >> 20,
            self.bound >> 20,
            own_resident() >> 20
        );
        assert!(bytes <= self.bound, "the bound is passed");
    }

    /// Prints the time of a look-up of a stored response, and of an absent one.
    fn look_up(&self) {
        const TIMES: u32 = 2_000_000;
        let each = |path: &str| {
            let started = Instant::now();
            for _ in 0..TIMES {
                let hash = self.store.hasher().url("https", AUTHORITY, black_box(path));
                black_box(self.store.find(hash, UPSTREAM, &self.fields));
            }
            started.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
        };
        let there = (0..USED)
            .map(|n| format!("/used/{n}.css"))
            .find(|path| {
                let hash = self.store.hasher().url("https", AUTHORITY, path);
                self.store.find(hash, UPSTREAM, &self.fields).is_some()
            })
            .expect("something that is used is there");
        println!("look-up: {:.0} ns of what is there, with Vary", each(&there));
        println!("look-up: {:.0} ns of what is not", each("/absent.css"));
    }

    /// Requests small and large, new and used URLs for this many minutes, and prints a line after each.
    async fn soak(&self, minutes: u64) {
        let started = Instant::now();
        let (mut n, mut minute) = (0_u64, 0);
        while minute < minutes {
            n += 1;
            let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            match n % 100 {
                0 => self.ask(&format!("/soak/large/{n}"), 1 << 20).await,
                1..20 => {
                    self.ask(&format!("/soak/{n}"), usize::try_from(spread % 20_000).expect("small"))
                        .await
                }
                _ => self.ask(&format!("/used/{}.css", spread % USED), 1000).await,
            };
            if started.elapsed() >= Duration::from_secs(60 * (minute + 1)) {
                minute += 1;
                self.tell(&format!("mixed, minute {minute}, {n} asked for")).await;
            }
        }
    }
}
