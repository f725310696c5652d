//! The browser's calendar.

use wasm_bindgen::JsValue;

/// A time, given in milliseconds since 1970: in British English without seconds, and in ISO 8601. Both
/// are empty where the number is no valid time.
pub fn date(milliseconds: f64) -> (String, String) {
    let date = js_sys::Date::new(&JsValue::from_f64(milliseconds));
    if !date.get_time().is_finite() {
        return (String::new(), String::new());
    }
    let day = date.to_locale_date_string("en-GB", &JsValue::UNDEFINED);
    let time = date.to_locale_time_string("en-GB");
    let time = String::from(time);
    let minutes = time.rsplit_once(':').map_or(time.as_str(), |(it, _)| it);
    (
        format!("{}, {minutes}", String::from(day)),
        date.to_iso_string().into(),
    )
}
