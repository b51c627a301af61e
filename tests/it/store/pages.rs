//! Many names are read in pages.

use std::sync::Arc;

use weir::store::{DictionaryCursor, DictionaryLimits, DictionaryPage, Step, Store};

use super::Fixture;
use super::dictionary::{WIDE, add, number, remove};

/// Everything that a reader who knows the names up to `at` is missing, page by page.
async fn pages(store: &Arc<dyn Store>, mut at: Option<DictionaryCursor>) -> Vec<DictionaryPage> {
    let mut pages = Vec::new();
    loop {
        let page = store.read_dictionary(at, None).await.unwrap();
        let more = page.more;
        at = Some(page.cursor);
        pages.push(page);
        if !more {
            return pages;
        }
    }
}

pub async fn many_names_come_in_pages(fixture: &Fixture) {
    let store = fixture.open().await;
    let many: Vec<String> = (0..6000).map(|name| name.to_string()).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| ("a", name.as_str())).collect();
    let wider = DictionaryLimits {
        operations_per_service: 10_000,
        operations: 10_000,
        ..WIDE
    };
    add(&store, wider, &many).await;
    let read = pages(&store, None).await;
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].entries.len(), 5000);
    assert_eq!((read[0].step, read[1].step), (Step::Anew, Step::Forward));
    let numbers = read.iter().flat_map(|page| &page.entries);
    let numbers: Vec<u32> = numbers.map(|entry| entry.operation.0).collect();
    assert_eq!(numbers, (0..6002).collect::<Vec<u32>>());
    assert_eq!(read[0].cursor.incarnation, read[1].cursor.incarnation);

    // What is added between two pages comes with the next.
    let halfway = Some(read[0].cursor);
    add(&store, wider, &[("a", "new")]).await;
    let rest = pages(&store, halfway).await;
    assert_eq!((rest.len(), rest[0].step), (1, Step::Forward));
    assert_eq!(rest[0].entries.len(), 1003);
    // If a name is removed between two pages, reading starts again from the beginning.
    let gone = number(&store, "a", "17").await;
    assert_eq!(remove(&store, &[gone]).await, 1);
    let again = pages(&store, halfway).await;
    assert_eq!((again.len(), again[0].step), (2, Step::Anew));
    assert_eq!(again[1].entries.len(), 1002);
    let cursor = again[1].cursor;
    let nothing = store.read_dictionary(Some(cursor), None).await.unwrap();
    assert_eq!((nothing.cursor, nothing.entries.len()), (cursor, 0));
}
