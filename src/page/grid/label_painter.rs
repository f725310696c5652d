//! Labels for saved sheets, drawn on a canvas: black on white whatever the page's colours are, since
//! a file is looked at elsewhere.

use js_sys::Object;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use crate::browser::globals::js;
use crate::picture::image::Image;
use crate::view::label::ellipsized;

/// The smallest letters, in pixels.
const SMALLEST_LETTERS: u32 = 12;
/// A frame's width has room for so many heights of its letters.
const LETTERS_PER_FRAME: u32 = 24;
/// Labels are as wide as their frame, or so many heights of their letters where that is narrower.
const NARROWEST_IN_LETTERS: u32 = 9;
/// Height of a line, in heights of its letters.
const LINE_HEIGHT: f64 = 1.35;

/// Draws labels for frames of one width.
pub struct LabelPainter {
    letters: u32,
    widest: u32,
}

impl LabelPainter {
    /// For frames of this width in pixels.
    pub fn for_frames(width: u32) -> Self {
        let letters = (width / LETTERS_PER_FRAME).max(SMALLEST_LETTERS);
        LabelPainter {
            letters,
            widest: width.max(letters * NARROWEST_IN_LETTERS),
        }
    }

    /// Pixels between the parts of a sheet that suit the letters.
    pub fn padding(&self) -> u32 {
        self.letters
    }

    /// A picture of these lines, each cut off where it is too long.
    ///
    /// # Errors
    /// The browser gives no canvas.
    pub fn paint(&self, lines: &[String]) -> Result<Image, JsValue> {
        let canvas = document()
            .create_element("canvas")?
            .dyn_into::<HtmlCanvasElement>()?;
        // Its pixels are all that it is for.
        let options = Object::new();
        js::set(&options, "willReadFrequently", true);
        let context = canvas
            .get_context_with_context_options("2d", &options)?
            .and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok())
            .ok_or(JsValue::NULL)?;
        let font = format!("{}px system-ui, sans-serif", self.letters);
        context.set_font(&font);
        let width_of = |text: &str| {
            context
                .measure_text(text)
                .map_or(0.0, |metrics| metrics.width())
        };
        let widest = f64::from(self.widest);
        let lines: Vec<String> = lines
            .iter()
            .map(|line| ellipsized(line, |text| width_of(text) <= widest))
            .collect();
        let line_height = f64::from(self.letters) * LINE_HEIGHT;
        let width = lines.iter().map(|line| width_of(line)).fold(1.0, f64::max);
        // Both are small: the labels' own bounds, and a few lines.
        let width = width.min(widest).ceil() as u32;
        let height = (line_height * lines.len() as f64).ceil() as u32;
        canvas.set_width(width);
        canvas.set_height(height);
        // A new size forgets all settings.
        context.set_font(&font);
        context.set_text_baseline("middle");
        context.set_fill_style_str("#fff");
        context.fill_rect(0.0, 0.0, f64::from(width), f64::from(height));
        context.set_fill_style_str("#000");
        for (index, line) in lines.iter().enumerate() {
            let middle = (index as f64 + 0.5) * line_height;
            let left = (f64::from(width) - width_of(line)) / 2.0;
            context.fill_text(line, left.max(0.0), middle)?;
        }
        let pixels = context.get_image_data(0.0, 0.0, f64::from(width), f64::from(height))?;
        Ok(Image {
            width,
            height,
            rgba: pixels.data().0,
        })
    }
}
