//! The size and the persistence of the site's storage.

use crate::browser::globals::js;
use crate::protocol::loader::Storage;

/// Asks `navigator.storage`; a browser without it tells no sizes.
pub(super) async fn storage() -> Storage {
    let query = async {
        let storage = js::get(&js::global("navigator")?, "storage")?;
        let estimate = js::call_async(&storage, "estimate", &[]).await.ok()?;
        let number = |name: &str| js::get(&estimate, name)?.as_f64();
        let persisted = js::call_async(&storage, "persisted", &[]).await;
        Some(Storage {
            usage: number("usage"),
            quota: number("quota"),
            is_persistent: persisted.is_ok_and(|it| it.is_truthy()),
        })
    };
    query.await.unwrap_or_default()
}
