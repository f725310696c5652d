//! What the browser says of its storage.

use crate::browser::globals::js;
use crate::protocol::loader::Storage;

/// What the browser says of the site's storage.
pub(super) async fn storage() -> Storage {
    let ask = async {
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
    ask.await.unwrap_or_default()
}
