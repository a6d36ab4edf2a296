//! Pushes from the final response.

use crate::support::{client::Client, edge::Edge, origin::Origin};

#[tokio::test]
async fn each_preload_of_a_page_is_pushed_intact() {
    let origin = Origin::start().await;
    origin
        .serve_ok(
            "/",
            &[
                (
                    "link",
                    "</a.css>; rel=preload; as=style, <b.js>; rel=preload; as=script",
                ),
                ("link", "</c>; rel=preload"),
            ],
            b"<html>",
        )
        .asset("/a.css", b"a { }")
        .asset("/b.js", b"b()")
        .asset("/c", b"c");
    let edge = Edge::start(origin.address).await;
    let page = Client::connect(edge.address).await.get("/").await;
    assert_eq!(page.answer.status, 200);
    assert_eq!(page.answer.body, b"<html>");
    assert_eq!(page.promised(), ["/a.css", "/b.js", "/c"]);
    let css = page.push("/a.css").delivered();
    assert_eq!((css.status.as_u16(), css.body.as_slice()), (200, b"a { }".as_slice()));
    assert_eq!(css.headers["cache-control"], "max-age=60");
    assert!(css.trailers.is_none());
}
