//! Measures each kind of work on each server.

use std::{net::SocketAddr, path::Path, time::Duration};

use clap::ValueEnum;
use tokio::runtime::Runtime;

use super::{
    callgrind::Counts,
    contestant::Contestant,
    h2load::{self, Requests},
    origin::Origin,
    pages::{self, Pages},
    report::{Cell, Figure},
    share,
    support::servers::Site,
};

/// A kind of work that costs instructions: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// A request of 1 KB, and the part of HTTP/2 in it
    #[value(name = "1k")]
    OneKb,
    /// A request of 64 KB
    #[value(name = "64k")]
    Large,
    /// A page of 1 KB with three pushed assets of 1 KB
    Page,
    /// A page of 1 KB with three pushed assets of 1 KB from the cache
    CachedPage,
    /// A request of a cached asset of 1 KB
    CachedAsset,
    /// A document of 1 KB with three links in its Link field
    Links,
    /// The document with links on a route that learns
    LinksLearned,
    /// A document of 1 KB whose HTML names three assets
    Html,
    /// The document of HTML on a route that learns
    HtmlLearned,
    /// The document with links, requested by a browser
    BrowserLinks,
    /// The document with links, requested by a browser, on a route that learns: with the 103 that the browser then gets
    BrowserLinksLearned,
    /// The document whose HTML names assets, requested by a browser
    BrowserHtml,
    /// The document of HTML, requested by a browser, on a route that learns: with the 103 that the browser then gets
    BrowserHtmlLearned,
}

/// The settings of the route of linkpush for a kind of work. Peers always cache assets below `/cached/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    CachedAssets,
    Learning,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Plain, Self::CachedAssets, Self::Learning];
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// Requests of a path, with responses of this many bytes.
    Path(&'static str, u64),
    /// Requests of a path as a browser sends them, with responses of this many bytes.
    Browser(&'static str, u64),
    /// Pages with their assets.
    Pages(Pages),
}

impl Work {
    /// All kinds, in the order of the table.
    pub(crate) const ALL: [Self; 13] = [
        Self::OneKb,
        Self::Large,
        Self::Page,
        Self::CachedPage,
        Self::CachedAsset,
        Self::Links,
        Self::LinksLearned,
        Self::Html,
        Self::HtmlLearned,
        Self::BrowserLinks,
        Self::BrowserLinksLearned,
        Self::BrowserHtml,
        Self::BrowserHtmlLearned,
    ];

    /// Returns the title in the table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::OneKb => "1 KB",
            Self::Large => "64 KB",
            Self::Page => "page with three pushed assets",
            Self::CachedPage => "page with three cached assets pushed",
            Self::CachedAsset => "cached asset of 1 KB",
            Self::Links => "document with three links",
            Self::LinksLearned => "document with three links, learn: on",
            Self::Html => "document with three assets in its HTML",
            Self::HtmlLearned => "document with three assets in its HTML, learn: on",
            Self::BrowserLinks => "document with three links, to a browser",
            Self::BrowserLinksLearned => "document with three links, to a browser, learn: on, 103",
            Self::BrowserHtml => "document with three assets in its HTML, to a browser",
            Self::BrowserHtmlLearned => "document with three assets in its HTML, to a browser, learn: on, 103",
        }
    }

    const fn mode(self) -> Mode {
        match self {
            Self::OneKb
            | Self::Large
            | Self::Page
            | Self::Links
            | Self::Html
            | Self::BrowserLinks
            | Self::BrowserHtml => Mode::Plain,
            Self::CachedPage | Self::CachedAsset => Mode::CachedAssets,
            Self::LinksLearned | Self::HtmlLearned | Self::BrowserLinksLearned | Self::BrowserHtmlLearned => {
                Mode::Learning
            }
        }
    }

    const fn load(self) -> Load {
        match self {
            Self::OneKb => Load::Path("/1k", 1024),
            Self::Large => Load::Path("/64k", 65_536),
            Self::Page => Load::Pages(Pages::Plain),
            Self::CachedPage => Load::Pages(Pages::Cached),
            Self::CachedAsset => Load::Path("/cached/0.css", 1024),
            Self::Links | Self::LinksLearned => Load::Path("/page/0", 1024),
            Self::Html | Self::HtmlLearned => Load::Path("/html", 1024),
            Self::BrowserLinks | Self::BrowserLinksLearned => Load::Browser("/page/0", 1024),
            Self::BrowserHtml | Self::BrowserHtmlLearned => Load::Browser("/html", 1024),
        }
    }

    /// Returns the requests or pages of the shorter of the two loads whose difference counts: enough for 1 % precision.
    const fn number(self) -> u64 {
        match self {
            Self::OneKb
            | Self::Links
            | Self::LinksLearned
            | Self::Html
            | Self::HtmlLearned
            | Self::BrowserLinks
            | Self::BrowserLinksLearned
            | Self::BrowserHtml
            | Self::BrowserHtmlLearned => 1024,
            Self::Large => 512,
            Self::Page | Self::CachedPage => 256,
            Self::CachedAsset => 2048,
        }
    }
}

/// The parts that measurements share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) origin: &'a Origin,
    pub(crate) folder: &'a Path,
    /// The divisor of all numbers of requests and pages.
    pub(crate) divisor: u64,
}

impl Bench<'_> {
    /// Measures each kind of work once, with new processes. Returns the server's name and version, if the server
    /// started.
    pub(crate) fn round(
        &self,
        contestant: &Contestant,
        site: &mut Site,
        works: &[Work],
        column: &mut [Cell],
    ) -> Option<String> {
        let mut name = None;
        for mode in Mode::ALL {
            let takes_part = match mode {
                Mode::Plain => true,
                Mode::CachedAssets => contestant.caches,
                Mode::Learning => contestant.is_linkpush(),
            };
            if !takes_part || !works.iter().any(|work| work.mode() == mode) {
                continue;
            }
            let Some(server) = contestant.start(site, mode) else {
                continue;
            };
            name = Some(server.name.clone());
            let mut counts = Counts::of(&server, self.folder);
            for (work, cell) in works.iter().zip(column.iter_mut()) {
                if work.mode() == mode {
                    let figure = self.measure(*work, contestant, server.address, &mut counts);
                    let said = match &figure {
                        Ok(figure) => format!("{:.0}", figure.instructions),
                        Err(problem) => problem.clone(),
                    };
                    eprintln!("{}, {}: {said}", server.name, work.title());
                    cell.add(figure);
                }
            }
        }
        name
    }

    fn measure(
        &self,
        work: Work,
        contestant: &Contestant,
        address: SocketAddr,
        counts: &mut Counts<'_>,
    ) -> Result<Figure, String> {
        let number = work.number() / self.divisor;
        let load = |number| self.load(work, contestant, address, number);
        self.warm_up(work, address, number * 2)?;
        counts.zero()?;
        load(number)?;
        let once = counts.take()?;
        load(number * 2)?;
        let twice = counts.take()?;
        let each = |of: fn(&super::profile::Profile) -> u64| (of(&twice) as f64 - of(&once) as f64) / number as f64;
        Ok(Figure {
            instructions: each(|profile| profile.total),
            allocations: each(super::profile::Profile::allocations),
            http2: (work == Work::OneKb && contestant.is_linkpush())
                .then(|| share::difference(&share::of_http2(&once), &share::of_http2(&twice), number as f64)),
            asked: matches!(work.load(), Load::Pages(_)) && !contestant.pushes,
        })
    }

    /// Warms the server up: its connections to the origin, its memory, and its cache until that has every asset.
    fn warm_up(&self, work: Work, address: SocketAddr, number: u64) -> Result<(), String> {
        if work.mode() == Mode::CachedAssets {
            // linkpush stores only what a page preloads.
            self.attempt(Work::CachedPage, address, WARM_UP_PAGES)?;
        }
        for _ in 0..WARM_UPS {
            let before = self.origin.assets();
            self.attempt(work, address, number)?;
            if work.mode() != Mode::CachedAssets || self.origin.assets() == before {
                break;
            }
        }
        Ok(())
    }

    /// Runs one load, and checks at the origin that assets came from the expected place.
    fn load(&self, work: Work, contestant: &Contestant, address: SocketAddr, number: u64) -> Result<(), String> {
        let before = self.origin.assets();
        let pushed = self.attempt(work, address, number)?;
        let asked = self.origin.assets() - before;
        match work {
            Work::CachedPage | Work::CachedAsset if asked > 0 => {
                return Err(format!("the origin was asked for {asked} assets of {number}"));
            }
            Work::Page if asked < 3 * number => {
                return Err(format!("the origin was asked for {asked} assets of {number} pages"));
            }
            _ => {}
        }
        if matches!(work.load(), Load::Pages(_)) && contestant.pushes && pushed < number {
            return Err(format!("{} of {number} pages without three pushes", number - pushed));
        }
        Ok(())
    }

    /// Runs one load, and returns the number of pages whose assets were all pushed.
    fn attempt(&self, work: Work, address: SocketAddr, number: u64) -> Result<u64, String> {
        match work.load() {
            Load::Path(path, bytes) => h2load::run(address, Requests { path, bytes, number }, &[]).map(|_| 0),
            Load::Browser(path, bytes) => h2load::run(address, Requests { path, bytes, number }, &BROWSER).map(|_| 0),
            Load::Pages(pages) => {
                let load = async { tokio::time::timeout(LIMIT, pages::load(address, pages, number)).await };
                match self.runtime.block_on(load) {
                    Ok(Ok(loaded)) => Ok(loaded.pushed),
                    Ok(Err(e)) => Err(e.to_string()),
                    Err(_) => Err(format!("{number} pages took more than {} s", LIMIT.as_secs())),
                }
            }
        }
    }
}

/// Loads of a warm-up at most. The first fills the cache; a second may be needed for assets that were requested twice
/// at a time.
const WARM_UPS: usize = 5;
const WARM_UP_PAGES: u64 = 64;

/// The fields by which linkpush knows a browser that opens a page.
const BROWSER: [&str; 2] = ["sec-fetch-mode: navigate", "sec-fetch-dest: document"];

/// Time limit of a load of pages.
const LIMIT: Duration = Duration::from_secs(300);
