//! Simulates a site and its visitors from a seed, and counts how well a store of manifests predicts the links of the
//! site's documents. Used by the benchmark and by a test.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr},
};

use http::{HeaderMap, header};
use linkpush::{
    html::{End, HtmlReader, Limits, ResponseFields},
    learn::{Evidence, LearnPolicy, Links, ManifestLimits, ManifestStore, Observation, Observed, VisitorFacts},
    link::{Document, Spelled},
    push::Source,
};

/// The settings of a simulation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) documents: u32,
    pub(crate) visitors: u32,
    pub(crate) requests: u32,
    /// The number of deploys, each of which renames all assets.
    pub(crate) deploys: u32,
    /// The store's limit on documents.
    pub(crate) limit: u32,
    /// Where the documents name their assets: `Learned` for their Link fields, `Html` for their HTML.
    pub(crate) source: Source,
}

/// Kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Pages with one set of links for everybody.
    Plain,
    /// Half of the visitors get one script, half another.
    Variant,
    /// Visitors with a session get their avatar beside the common links.
    Personal,
    /// A banner that changes with every response.
    Rotating,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Variant, Self::Personal, Self::Rotating];

    const fn of(document: u32) -> Self {
        match document % 10 {
            0..=4 => Self::Plain,
            5 | 6 => Self::Variant,
            7 | 8 => Self::Personal,
            _ => Self::Rotating,
        }
    }
}

/// The results for one kind of document.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    /// Links delivered early that the response had.
    pub(crate) right: u64,
    /// Links delivered early that the response did not have.
    pub(crate) wrong: u64,
    /// Links of the responses that every visitor gets.
    pub(crate) common: u64,
    pub(crate) wasted_bytes: u64,
    pub(crate) used_bytes: u64,
    pub(crate) pauses: u64,
}

impl Tally {
    /// Returns the fraction of links delivered early that the response had.
    pub(crate) fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    /// Returns the ratio of links delivered rightly to links common to all visitors.
    pub(crate) fn recall(&self) -> f64 {
        share(self.right, self.common)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.right += other.right;
        self.wrong += other.wrong;
        self.common += other.common;
        self.wasted_bytes += other.wasted_bytes;
        self.used_bytes += other.used_bytes;
        self.pauses += other.pauses;
    }
}

/// The results of a simulation.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) by_kind: HashMap<Kind, Tally>,
    /// Personal URLs delivered to somebody else.
    pub(crate) leaked: u64,
    /// Responses before which links of an earlier deploy were delivered.
    pub(crate) stale_responses: u64,
    /// The largest number of such responses for one document after one deploy.
    pub(crate) most_stale: u32,
    /// Documents that were requested after a deploy, summed over deploys.
    pub(crate) documents_deployed: u64,
    /// Documents in the store at the end.
    pub(crate) held: u64,
    /// Responses whose HTML was read.
    pub(crate) pages_read: u64,
}

impl Outcome {
    pub(crate) fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.by_kind.values().for_each(|tally| total.add(tally));
        total
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 1.0 } else { part as f64 / of as f64 }
}

/// A generator of pseudo-random numbers (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound.max(1))).unwrap_or(0)
    }
}

/// A Zipf distribution: the nth number has a probability in proportion to 1/n.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: u32) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|n| {
            sum += 1.0 / f64::from(n);
            sum
        });
        Self(sums.collect())
    }

    fn pick(&self, random: &mut Random) -> u32 {
        let all = self.0.last().copied().unwrap_or(1.0);
        let at = (random.next() >> 11) as f64 / (1_u64 << 53) as f64 * all;
        u32::try_from(self.0.partition_point(|sum| *sum <= at)).unwrap_or(0)
    }
}

/// One visit: the visitor and the fields of the request.
struct Visit {
    visitor: u32,
    address: IpAddr,
    cookie: Option<String>,
    has_session: bool,
}

impl Visit {
    /// Creates a visit. A third of the visitors has no cookie, a sixth a consent cookie alone, the others a session,
    /// and statistics that change with each request. Four visitors share a network; a tenth of the visits comes from
    /// others.
    fn of(visitor: u32, random: &mut Random) -> Self {
        let home = visitor / 4;
        let network = if random.below(10) == 0 {
            random.below(1 << 16)
        } else {
            home
        };
        let address = Ipv4Addr::from(0x0a00_0000 | (network << 8) | random.below(256));
        let statistics = random.next();
        let (cookie, has_session) = match visitor % 6 {
            0 | 1 => (None, false),
            2 => (Some("consent=yes".to_owned()), false),
            _ => {
                let session = Random(u64::from(visitor)).next();
                (
                    Some(format!("consent=yes; session={session:032x}; _stat={statistics:020}")),
                    true,
                )
            }
        };
        Self {
            visitor,
            address: address.into(),
            cookie,
            has_session,
        }
    }
}

/// The links of one response: those that everybody gets, then the others.
fn links(document: u32, deploy: u32, visit: &Visit, random: &mut Random) -> (Vec<String>, usize) {
    let mut links = vec![
        format!("</main.{deploy}.css>; rel=preload; as=style"),
        format!("</app.{deploy}.js>; rel=preload; as=script"),
        format!("</text.{deploy}.woff2>; rel=preload; as=font; crossorigin"),
        format!("</page{document}.{deploy}.css>; rel=preload; as=style"),
    ];
    let common = links.len();
    match Kind::of(document) {
        Kind::Variant => links.push(format!(
            "</test{}.{deploy}.js>; rel=preload; as=script",
            visit.visitor / 7 % 2
        )),
        Kind::Personal if visit.has_session => {
            links.insert(
                1,
                format!("</avatar/{}/{deploy}.png>; rel=preload; as=image", visit.visitor),
            );
        }
        Kind::Plain | Kind::Personal => {}
        Kind::Rotating => links.push(format!(
            "</banner{}.{deploy}.png>; rel=preload; as=image",
            random.below(10)
        )),
    }
    (links, common)
}

/// Returns a page whose head names these assets as applications do.
fn page(links: &[String]) -> String {
    let mut head = String::from("<!doctype html><html><head><meta charset=utf-8><title>A page</title>");
    for link in links {
        let url = link.split(['<', '>']).nth(1).unwrap_or_default();
        head += &match link {
            link if link.contains("as=style") => format!("<link rel=stylesheet href={url}>"),
            link if link.contains("as=script") => format!("<script src={url} defer></script>"),
            link if link.contains("as=font") => format!("<link rel=preload as=font href={url} crossorigin>"),
            _ => format!("<link rel=preload as=image href={url}>"),
        };
    }
    head + "</head><body><p>Text</p></body></html>"
}

/// Reads a page as the proxy does; returns its links.
fn read(path: &str, html: &str) -> Vec<Spelled> {
    let Ok(document) = Document::new("https", "site.example", path) else {
        return Vec::new();
    };
    let fields = ResponseFields {
        content_type: b"text/html; charset=utf-8",
        ..ResponseFields::default()
    };
    let mut reader = HtmlReader::new(Limits::default(), &document, fields);
    reader.feed(html.as_bytes());
    let found = reader.finish(End::Whole);
    found.map_or_else(|_| Vec::new(), |found| found.learnable(&document))
}

/// Returns the fields by which a change of a page is known.
fn validators(html: &str) -> HeaderMap {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in html.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let etag = format!("\"{hash:x}\"").parse().map(|tag| (header::ETAG, tag));
    etag.into_iter().collect()
}

/// Returns the bytes of a link's asset.
fn bytes(link: &str) -> u64 {
    match link {
        link if link.contains("as=style") => 20_000,
        link if link.contains("as=script") => 60_000,
        _ => 30_000,
    }
}

/// Runs a simulation, with one request a second.
pub(crate) fn run(setting: Setting) -> Outcome {
    let policy = LearnPolicy::default();
    let limits = ManifestLimits {
        documents: setting.limit,
        ..ManifestLimits::default()
    };
    let store = ManifestStore::new(limits, (setting.seed, 1));
    let mut random = Random(setting.seed);
    let zipf = Zipf::new(setting.documents);
    let mut outcome = Outcome::default();
    let mut stale: HashMap<u32, u32> = HashMap::new();
    let mut asked: HashSet<u32> = HashSet::new();
    let period = setting.requests / (setting.deploys + 1) + 1;
    for request in 0..setting.requests {
        if request % period == 0 {
            stale.clear();
            outcome.documents_deployed += asked.len() as u64;
            asked.clear();
        }
        let deploy = request / period;
        let document = zipf.pick(&mut random);
        let visitor = random.below(setting.visitors);
        let visit = Visit::of(visitor, &mut random);
        let path = format!("/document/{document}");
        let key = store
            .hasher()
            .document(&policy, ("https", "site.example", &path, None), &HeaderMap::new());
        let now = 1_000_000 + u64::from(request);
        let delivered = store.known(key, &policy, now).unwrap_or_default().links;
        let (links, common) = links(document, deploy, &visit, &mut random);
        let tally = outcome.by_kind.entry(Kind::of(document)).or_default();
        let (values, is_read) = if setting.source == Source::Html {
            let html = page(&links);
            let fingerprint = store.hasher().fingerprint(&validators(&html), &[]);
            let is_read = store.is_html_due(key, fingerprint, || Evidence::Anonymous, 0, &[]);
            (read(&path, &html), is_read)
        } else {
            let values = links.iter().filter_map(|link| Spelled::read(link.as_bytes()));
            (values.collect(), true)
        };
        outcome.pages_read += u64::from(is_read);
        let verdict_paused = is_read && {
            let fields: Vec<&[u8]> = visit.cookie.iter().map(|cookie| cookie.as_bytes()).collect();
            let facts = VisitorFacts {
                authority: "h.example",
                address: visit.address,
                cookies: &fields,
                set_cookies: &[],
                is_for_address: false,
                authorization: false,
                identities: &[],
                query: None,
                division: None,
            };
            let evidence = store.evidence(&facts, &policy, now);
            let seen = Observation {
                now,
                evidence: &evidence,
                network: store.hasher().network(visit.address),
                response: Observed::Document,
                source: setting.source,
                fields: 0,
                links: &values,
                delivered: &delivered,
                policies: &[],
                page_policies: None,
                query: None,
            };
            store.observe(&key.into(), &policy, &seen).paused
        };
        tally.requests += 1;
        tally.common += common as u64;
        tally.pauses += u64::from(verdict_paused);
        if request >= period {
            asked.insert(document);
        }
        let was_stale = judge(tally, &mut outcome.leaked, &delivered, &values, (visitor, deploy));
        if was_stale {
            outcome.stale_responses += 1;
            let count = stale.entry(document).or_default();
            *count += 1;
            outcome.most_stale = outcome.most_stale.max(*count);
        }
    }
    outcome.documents_deployed += asked.len() as u64;
    outcome.held = store.len();
    outcome
}

/// Counts what was delivered for one response; whether anything of it was of an earlier deploy.
fn judge(
    tally: &mut Tally,
    leaked: &mut u64,
    delivered: &Links,
    links: &[Spelled],
    (visitor, deploy): (u32, u32),
) -> bool {
    let mut is_stale = false;
    for link in delivered.iter() {
        let is_right = links.iter().any(|had| had.text() == AsRef::<[u8]>::as_ref(link));
        let link = String::from_utf8_lossy(link.as_ref());
        if is_right {
            tally.right += 1;
            tally.used_bytes += bytes(&link);
        } else {
            tally.wrong += 1;
            tally.wasted_bytes += bytes(&link);
        }
        let is_personal = link.contains("/avatar/");
        *leaked += u64::from(is_personal && !link.contains(&format!("/avatar/{visitor}/")));
        is_stale |= !(link.contains(&format!(".{deploy}.")) || link.contains(&format!("/{deploy}.")));
    }
    is_stale
}
