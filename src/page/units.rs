//! Bytes and times as people read them.

use wasm_bindgen::JsValue;

/// Bytes as megabytes with one decimal, without the unit.
pub fn megabytes(bytes: u64) -> String {
    // Far below 2^53 bytes: the conversion is exact.
    format!("{:.1}", bytes as f64 / 1e6)
}

/// A duration in seconds, with as many digits as matter.
pub fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 99.5 {
        format!("{seconds:.0} s")
    } else {
        let minutes = (seconds / 60.0).round();
        if minutes < 90.0 {
            format!("{minutes:.0} min")
        } else {
            format!("{:.1} h", minutes / 60.0)
        }
    }
}

/// A count with its noun.
pub fn count(number: usize, singular: &str, plural: &str) -> String {
    let noun = if number == 1 { singular } else { plural };
    format!("{number} {noun}")
}

/// A time in milliseconds since 1970, for people and for machines.
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
