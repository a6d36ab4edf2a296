//! Measures the time to parse a `Link` field and to resolve its targets.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linkpush::link::{Document, parse};

const TYPICAL: &[u8] = b"</assets/main-4f2a.css>; rel=preload; as=style, \
    </assets/app-91bc.js>; rel=preload; as=script; fetchpriority=high, \
    </fonts/inter.woff2>; rel=\"preload\"; as=font; type=\"font/woff2\"; crossorigin";

fn parsing(c: &mut Criterion) {
    c.bench_function("parse/typical_3_links", |b| {
        b.iter(|| {
            parse(black_box(TYPICAL))
                .flatten()
                .filter(|l| l.has_relation("preload"))
                .count()
        });
    });

    let many = [b"</assets/a.css>; rel=preload; as=style".as_slice(); 10_000].join(b", ".as_slice());
    let mut group = c.benchmark_group("parse/10000_links");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("parse", |b| b.iter(|| parse(black_box(&many)).flatten().count()));
    group.finish();

    // Inputs that make a careless parser quadratic: open brackets, open quotation marks, blanks, backslashes.
    for (name, unit) in [
        ("open_targets", "<,"),
        ("quotes", "\",<"),
        ("blanks", "      "),
        ("escapes", "\"\\\""),
    ] {
        let mut group = c.benchmark_group(format!("parse/junk_{name}"));
        for kib in [16, 32, 64] {
            let junk = unit.repeat(kib * 1024 / unit.len());
            let field = format!("; rel=\"{junk}\", </a>; {junk}, <{junk}");
            group.throughput(Throughput::Bytes(u64::try_from(field.len()).unwrap_or(u64::MAX)));
            group.bench_with_input(BenchmarkId::from_parameter(format!("{kib}KiB")), &field, |b, field| {
                b.iter(|| parse(black_box(field.as_bytes())).count());
            });
        }
        group.finish();
    }
}

fn resolving(c: &mut Criterion) {
    let document = Document::new("https", "shop.example", "/p/index.html").expect("a document");
    for (name, target) in [
        ("absolute_path", b"/assets/main-4f2a.css?v=1".as_slice()),
        ("relative_path", b"../assets/main-4f2a.css?v=1"),
        ("absolute_url", b"https://shop.example/assets/main-4f2a.css?v=1"),
        ("refused", b"/assets/main 4f2a.css?v=1"),
    ] {
        c.bench_function(&format!("resolve/{name}"), |b| {
            b.iter(|| document.resolve(black_box(target)))
        });
    }
    c.bench_function("document/new", |b| {
        b.iter(|| Document::new("https", black_box("shop.example"), "/p/index.html"));
    });
}

criterion_group!(benches, parsing, resolving);
criterion_main!(benches);
