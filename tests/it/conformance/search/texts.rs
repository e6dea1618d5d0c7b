//! What is found by words, and how it is shown.

use std::sync::Arc;

use millwork_host::capability::search::{Index, Search};
use serde_json::{Value, json};

use super::{ask, fill, found, ids, on_both, papers};

on_both!(
    words_are_compared_in_lowercase_without_accents_by_their_stem,
    all_words_must_be_there_in_any_field,
    words_in_quotes_follow_each_other,
    a_star_is_the_beginning_of_a_word,
    the_better_match_comes_first,
    matches_are_marked_and_everything_else_is_escaped,
    no_language_but_our_own_is_understood,
);

fn body(text: &str) -> Value {
    json!({ "body": text })
}

async fn check(store: &Arc<dyn Search>, of: &Index, text: &str, expected: &[&str]) {
    assert_eq!(found(store, of, text).await, expected, "{text}");
}

async fn words_are_compared_in_lowercase_without_accents_by_their_stem(store: &Arc<dyn Search>) {
    let of = papers();
    let documents = [
        ("a", body("The Painters were PAINTING a fence")),
        ("b", body("Crème brûlée in the café")),
        ("c", body("Universities and their libraries")),
        ("d", body("Grüße aus Æther, 2026-INV/17")),
    ];
    fill(store, &of, &documents).await;
    for (text, expected) in [
        ("painting", vec!["a"]),
        ("Paints", vec!["a"]),
        ("FENCES", vec!["a"]),
        ("creme", vec!["b"]),
        ("CAFÉ", vec!["b"]),
        ("university", vec!["c"]),
        ("library", vec!["c"]),
        ("grusse", vec!["d"]),
        ("aether", vec!["d"]),
        ("2026", vec!["d"]),
        ("inv/17", vec!["d"]),
        ("pain", vec![]),
        ("nothing", vec![]),
        ("", vec!["a", "b", "c", "d"]),
        ("  ", vec!["a", "b", "c", "d"]),
    ] {
        check(store, &of, text, &expected).await;
    }
}

async fn all_words_must_be_there_in_any_field(store: &Arc<dyn Search>) {
    let of = papers();
    let documents = [
        ("a", json!({ "title": "Rent", "body": "for the office in May" })),
        ("b", json!({ "title": "Rent" })),
        (
            "c",
            json!({ "title": ["Light", "Rent"], "body": null, "tags": "office" }),
        ),
    ];
    fill(store, &of, &documents).await;
    check(store, &of, "rent", &["a", "b", "c"]).await;
    check(store, &of, "rent office", &["a"]).await;
    check(store, &of, "light rent", &["c"]).await;
    // What has neither letter nor digit is passed over beside words, and alone finds nothing.
    check(store, &of, "rent - &", &["a", "b", "c"]).await;
    check(store, &of, "-", &[]).await;
}

async fn words_in_quotes_follow_each_other(store: &Arc<dyn Search>) {
    let of = papers();
    let documents = [
        ("a", body("a red car stands before a house")),
        ("b", body("a car, red as a house")),
        ("c", json!({ "body": ["red", "car"] })),
    ];
    fill(store, &of, &documents).await;
    check(store, &of, r#""red car""#, &["a"]).await;
    check(store, &of, r#""RED cars" "houses""#, &["a"]).await;
    check(store, &of, r#""car red""#, &["b"]).await;
    check(store, &of, "red-car", &["a"]).await;
    check(store, &of, "red car", &["a", "b", "c"]).await;
}

async fn a_star_is_the_beginning_of_a_word(store: &Arc<dyn Search>) {
    let of = papers();
    fill(
        store,
        &of,
        &[("a", body("Universities")), ("b", body("Übung universe"))],
    )
    .await;
    check(store, &of, "universit*", &["a"]).await;
    check(store, &of, "UNIVERS*", &["a", "b"]).await;
    check(store, &of, "ub* universe", &["b"]).await;
    check(store, &of, "iverse*", &[]).await;
    check(store, &of, "univ*rse", &[]).await;
    check(store, &of, "*", &[]).await;
}

async fn the_better_match_comes_first(store: &Arc<dyn Search>) {
    let of = papers();
    let documents = [
        (
            "a",
            body("harbour and a great many other words about ships and the sea and the wind"),
        ),
        ("b", body("harbour harbour")),
        ("c", body("ships")),
    ];
    fill(store, &of, &documents).await;
    assert_eq!(ids(store, &of, "harbour", &json!({})).await, ["b", "a"]);
    let hits = ask(store, &of, "", &json!({})).await.unwrap();
    assert!(hits.hits.iter().all(|(found, _)| found.score == 0.0));
}

async fn matches_are_marked_and_everything_else_is_escaped(store: &Arc<dyn Search>) {
    let of = papers();
    let document = json!({
        "title": "<script>alert(1)</script> & Painting",
        "body": format!("{}paint \"it\" red {}", "word ".repeat(100), "end ".repeat(100)),
    });
    fill(store, &of, &[("a", document.clone())]).await;
    let hits = ask(store, &of, "painted alert", &json!({})).await.unwrap();
    let (found, fragments) = &hits.hits[0];
    assert_eq!(Value::Object(found.document.clone()), document);
    let (title, body) = (&fragments[0], &fragments[1]);
    assert_eq!(
        title.1,
        ["&lt;script&gt;<em>alert</em>(1)&lt;/script&gt; &amp; <em>Painting</em>"]
    );
    assert_eq!(
        (title.0.as_str(), body.0.as_str(), body.1.len()),
        ("title", "body", 1)
    );
    assert!(
        body.1[0].contains("word <em>paint</em> &quot;it&quot; red end"),
        "{:?}",
        body.1
    );
    assert!(body.1[0].len() < 220, "{:?}", body.1);
    // Only what follows the other words is marked of a phrase; a beginning marks its word.
    fill(store, &of, &[("b", json!({ "title": "red, blue red car; car" }))]).await;
    let hits = ask(store, &of, r#""red car" bl*"#, &json!({})).await.unwrap();
    assert_eq!(
        hits.hits[0].1[0].1,
        ["red, <em>blue</em> <em>red</em> <em>car</em>; car"]
    );
}

async fn no_language_but_our_own_is_understood(store: &Arc<dyn Search>) {
    let of = papers();
    let secret = json!({ "title": "Secret", "tags": "hidden", "body": "and or not" });
    fill(
        store,
        &of,
        &[("a", secret), ("b", json!({ "title": "Plain title" }))],
    )
    .await;
    for (text, expected) in [
        ("tags:hidden", vec![]),
        ("title:secret", vec![]),
        ("*:*", vec![]),
        ("_exists_:tags", vec![]),
        ("plain OR secret", vec![]),
        ("plain || title", vec!["b"]),
        ("+plain -title", vec!["b"]),
        ("plain~2 title^9", vec![]),
        ("/.*/", vec![]),
        ("[a TO z]", vec![]),
        ("{\"match_all\":{}}", vec![]),
        ("plain\\", vec!["b"]),
        ("(plain title)", vec!["b"]),
        ("and or not", vec!["a"]),
        ("plai?", vec![]),
        ("plain\u{0}title", vec!["b"]),
    ] {
        check(store, &of, text, &expected).await;
    }
}
