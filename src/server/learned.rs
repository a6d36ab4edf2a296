//! Reports and forgets what is known of one document: `POST /learned` of the admin service, `linkpush learned`.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use crate::{
    learn::{DividedBy, DocumentReport, Learning, LinkReport, ManifestStore},
    link::{Document, DocumentError},
    proxy::ProxySnapshot,
    route,
};

/// The path of questions about learned links.
pub const LEARNED_PATH: &str = "/learned";

/// The content of `POST /learned`, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedRequest {
    /// The URL of the document.
    pub url: String,
    /// The fields of the request for it, by name, where `Vary` of its responses or the route's `vary` names some.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// Whether its links are forgotten.
    #[serde(default)]
    pub forget: bool,
}

/// The content of the response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedDocument {
    /// The route of the URL.
    pub route: String,
    /// Whether something was known.
    pub known: bool,
    /// Whether that is forgotten now.
    pub forgotten: bool,
    /// Seconds since the last response that taught.
    pub age: Option<u64>,
    /// Whether nothing is delivered for a while, as learned links kept being wrong.
    pub paused: bool,
    /// Whether the last response had a Content-Security-Policy.
    pub csp: bool,
    /// Request fields by which documents of this URL are told apart, as `Vary` of their responses says.
    #[serde(default)]
    pub divided_by_fields: Vec<String>,
    /// Query parameters on which the links turned out to depend, and which the route's `key` leaves out.
    #[serde(default)]
    pub divided_by_parameters: Vec<String>,
    /// Number of documents that are known of this key, where it is divided.
    #[serde(default)]
    pub variants: usize,
    /// The links, in the order in which they became known.
    pub links: Vec<KnownLink>,
}

/// One link of a learned document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLink {
    /// The link as a field value.
    pub link: String,
    /// `learned` (from `Link` fields) or `html`.
    pub source: String,
    /// Whether the link is delivered early.
    pub delivered: bool,
    /// Whether a response for nobody in particular had the link.
    pub public: bool,
    /// Number of different visitors that got the link, as far as they are counted.
    pub visitors: usize,
    /// Number of early deliveries that the response confirmed.
    pub right: u32,
    /// Number of times that the link vanished after it was delivered.
    pub vanished: u32,
    /// Clients that got the link as a hint, asked for it, and asked for it twice.
    pub hinted: u32,
    /// See `hinted`.
    pub used: u32,
    /// See `hinted`.
    pub twice: u32,
    /// The reason why the link is not hinted, or not delivered.
    pub withheld: Option<String>,
}

/// Why there is no report.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnedError {
    /// The URL is not absolute, or no URL.
    #[error("url: must be absolute, such as https://shop.example/, got {0:?}")]
    Url(String),
    /// The URL is not that of a document.
    #[error("url: {0}")]
    Document(#[from] DocumentError),
    /// A field of the request is none.
    #[error("{0:?} is not a request field")]
    Field(String),
    /// No route matches the URL.
    #[error("no route matches a GET of this URL")]
    NoRoute,
    /// The route of the URL does not learn.
    #[error("the route {0} does not learn; it needs learn: on")]
    NotLearning(String),
}

/// Reports what is known of a document, and forgets it if that is asked for.
///
/// # Errors
///
/// The URL is not that of a document that is learned.
pub(super) fn answer(
    snapshot: &ProxySnapshot,
    manifests: &ManifestStore,
    request: &LearnedRequest,
) -> Result<LearnedDocument, LearnedError> {
    let wrong = || LearnedError::Url(request.url.clone());
    let uri: http::Uri = request.url.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    let path_and_query = uri.path_and_query().map_or("/", |pq| pq.as_str());
    Document::new(scheme, authority.as_str(), path_and_query)?;
    let found = route::find(&snapshot.routes, &Method::GET, authority.as_str(), uri.path());
    let (_, route) = found.ok_or(LearnedError::NoRoute)?;
    if route.learn.learning == Learning::Off {
        return Err(LearnedError::NotLearning(route.name.to_string()));
    }
    let document = (scheme, authority.as_str(), uri.path(), uri.query());
    let mut fields = HeaderMap::new();
    for (name, value) in &request.fields {
        let field = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) = field.ok_or_else(|| LearnedError::Field(name.clone()))?;
        fields.append(name, value);
    }
    let key = manifests.hasher().document(&route.learn, document, &fields);
    let divided_by = DividedBy {
        query: uri.query(),
        fields: &fields,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let report = manifests.report(key, divided_by, &route.learn, now);
    if request.forget {
        manifests.forget(key);
    }
    Ok(document_of(&route.name, report, request.forget, now))
}

fn document_of(route: &str, report: Option<DocumentReport>, forget: bool, now: u64) -> LearnedDocument {
    let known = report.is_some();
    let age = report.as_ref().map(|report| now.saturating_sub(report.last_seen));
    let paused = report.as_ref().is_some_and(|report| report.is_paused);
    let csp = report.as_ref().is_some_and(|report| report.has_csp);
    let division = report.as_ref().map(|report| (&report.divided_by, report.variants));
    let (divided_by, variants) = division.map_or_else(Default::default, |(by, count)| (by.clone(), count));
    let links = report.into_iter().flat_map(|report| report.links);
    LearnedDocument {
        route: route.to_owned(),
        known,
        forgotten: forget && known,
        age,
        paused,
        csp,
        divided_by_fields: divided_by.fields().iter().map(ToString::to_string).collect(),
        divided_by_parameters: divided_by.parameters().iter().map(ToString::to_string).collect(),
        variants,
        links: links.map(KnownLink::from).collect(),
    }
}

impl From<LinkReport> for KnownLink {
    fn from(report: LinkReport) -> Self {
        Self {
            link: report.link,
            source: report.source.name().to_owned(),
            delivered: report.is_delivered,
            public: report.is_public,
            visitors: report.visitors,
            right: report.right,
            vanished: report.vanished,
            hinted: report.uses.given,
            used: report.uses.used,
            twice: report.uses.twice,
            withheld: report.withheld.map(|reason| reason.label().to_owned()),
        }
    }
}
