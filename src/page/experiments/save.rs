//! Files of results: numbers, figures and all that was found.

use js_sys::{Array, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag, HtmlCanvasElement, HtmlElement, Url};

use leptos::prelude::document;

use crate::browser::globals::js;
use crate::page::grid::save::download;
use crate::results::Table;
use crate::results::figure::{Figure, svg, svg_on_paper};

/// What is said where the browser saves nothing.
pub const REFUSED: &str = "The browser refused to save the file: allow this page to download files and try \
    again.";
/// Pixels of a figure's picture for each of its own.
const SCALE: f64 = 2.0;

/// Saves a results file, or a ZIP of all that there is, of a study.
pub fn results(bytes: &[u8], study: &str) -> Result<(), JsValue> {
    if bytes.starts_with(b"PK") {
        download(bytes, &format!("experiment-{study}.zip"), "application/zip")
    } else {
        download(
            bytes,
            &format!("experiment-{study}.json"),
            "application/json",
        )
    }
}

/// Saves a table.
pub fn table(table: &Table) -> Result<(), JsValue> {
    let name = format!("{}.csv", table.key);
    download(table.csv().as_bytes(), &name, "text/csv;charset=utf-8")
}

/// Saves a figure as SVG.
pub fn figure(figure: &Figure) -> Result<(), JsValue> {
    let name = format!("{}.svg", figure.key);
    download(svg(figure).as_bytes(), &name, "image/svg+xml")
}

/// Saves a figure as PNG, on white paper.
pub async fn figure_png(figure: &Figure) -> Result<(), JsValue> {
    let paper = svg_on_paper(figure);
    let kind = BlobPropertyBag::new();
    kind.set_type("image/svg+xml");
    let parts = Array::of1(&JsValue::from_str(&paper.text));
    let blob = Blob::new_with_str_sequence_and_options(&parts, &kind)?;
    let address = Url::create_object_url_with_blob(&blob)?;
    let canvas = draw(&address, paper.size).await;
    // What is no longer there needs no letting go.
    let _ = Url::revoke_object_url(&address);
    let canvas = canvas?;
    let encoded = Promise::new(&mut |resolve, reject| {
        let arguments = [resolve.into(), JsValue::from_str("image/png")];
        if let Err(error) = js::call(&canvas, "toBlob", &arguments) {
            // Nobody waits any more for a promise that is settled.
            let _ = reject.call1(&JsValue::UNDEFINED, &error);
        }
    });
    let encoded: Blob = JsFuture::from(encoded).await?.dyn_into()?;
    let bytes = JsFuture::from(encoded.array_buffer()).await?;
    let bytes = js_sys::Uint8Array::new(&bytes).to_vec();
    download(&bytes, &format!("{}.png", figure.key), "image/png")
}

async fn draw(address: &str, size: [f64; 2]) -> Result<HtmlCanvasElement, JsValue> {
    let picture: HtmlElement = document().create_element("img")?.dyn_into()?;
    picture.set_attribute("src", address)?;
    js::call_async(&picture, "decode", &[]).await?;
    let canvas: HtmlCanvasElement = document().create_element("canvas")?.dyn_into()?;
    let [width, height] = size.map(|side| (side * SCALE).round());
    // Some thousand pixels.
    canvas.set_width(width as u32);
    canvas.set_height(height as u32);
    let context = canvas.get_context("2d")?.ok_or(JsValue::UNDEFINED)?;
    js::set(&context, "fillStyle", "white");
    let [zero, width, height] = [0.0, width, height].map(JsValue::from);
    js::call(
        &context,
        "fillRect",
        &[zero.clone(), zero.clone(), width.clone(), height.clone()],
    )?;
    js::call(
        &context,
        "drawImage",
        &[picture.into(), zero.clone(), zero, width, height],
    )?;
    Ok(canvas)
}
