//! What the browser says of its storage. Asked of the objects themselves: web-sys's features for them
//! would be compiled into every other program too.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::protocol::Storage;

fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into())
        .ok()
        .filter(|value| !value.is_undefined() && !value.is_null())
}

async fn call(object: &JsValue, name: &str, argument: &JsValue) -> Option<JsValue> {
    let function: Function = get(object, name)?.dyn_into().ok()?;
    let promise: Promise = function.call1(object, argument).ok()?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}

fn navigator() -> Option<JsValue> {
    get(&js_sys::global(), "navigator")
}

/// What the browser says of the site's storage.
pub(super) async fn storage() -> Storage {
    let ask = async {
        let storage = get(&navigator()?, "storage")?;
        let estimate = call(&storage, "estimate", &JsValue::UNDEFINED).await?;
        let number = |name: &str| get(&estimate, name)?.as_f64();
        let persisted = call(&storage, "persisted", &JsValue::UNDEFINED).await;
        Some(Storage {
            usage: number("usage"),
            quota: number("quota"),
            is_persistent: persisted.is_some_and(|it| it.is_truthy()),
        })
    };
    ask.await.unwrap_or_default()
}
