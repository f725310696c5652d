//! The region that is followed through the steps, by pointer and by keyboard.

use leptos::prelude::*;
use web_sys::{KeyboardEvent, PointerEvent};

use crate::view::strip::Region;

/// A press becomes a drag when it has moved so many pixels.
const DRAG_PIXELS: f64 = 4.0;
/// What an arrow key moves or resizes by, of the picture's side.
const KEY_STEP: f64 = 0.04;

/// The region of both strips.
#[derive(Clone, Copy)]
pub struct RegionTool {
    /// The one that was drawn.
    pub drawn: RwSignal<Option<Region>>,
    /// The one around the pointer, while none is drawn.
    hovered: RwSignal<Option<Region>>,
    drag: StoredValue<Option<Drag>>,
    /// Whether the last press was a drag.
    has_dragged: StoredValue<bool>,
}

#[derive(Clone, Copy)]
struct Drag {
    /// Where it began, in shares of the picture.
    from: (f64, f64),
    /// The same in pixels of the window.
    from_pixels: (f64, f64),
}

impl RegionTool {
    /// No region.
    pub fn new() -> RegionTool {
        RegionTool {
            drawn: RwSignal::new(None),
            hovered: RwSignal::new(None),
            drag: StoredValue::new(None),
            has_dragged: StoredValue::new(false),
        }
    }

    /// The region that every frame outlines.
    pub fn outlined(&self) -> Option<Region> {
        self.drawn.get().or_else(|| self.hovered.get())
    }

    /// No region any more.
    pub fn clear(&self) {
        self.drawn.set(None);
        self.hovered.set(None);
        self.drag.set_value(None);
    }

    /// A press on a picture. Where a finger scrolls, it draws no box.
    pub fn press(&self, event: &PointerEvent, finger_draws: bool) {
        self.has_dragged.set_value(false);
        let draws = event.button() == 0 && (finger_draws || event.pointer_type() != "touch");
        let Some(from) = place(event).filter(|_| draws) else {
            return;
        };
        self.drag.set_value(Some(Drag {
            from,
            from_pixels: pixels(event),
        }));
    }

    /// The pointer moves over a picture, or from it with the button held.
    pub fn moves(&self, event: &PointerEvent) {
        let Some(to) = place(event) else { return };
        let Some(drag) = self.drag.get_value() else {
            // A finger that touches is no pointer that hovers.
            if event.pointer_type() != "touch" && self.drawn.with_untracked(Option::is_none) {
                self.hovered.set(Some(Region::around(to.0, to.1)));
            }
            return;
        };
        let (x, y) = pixels(event);
        let far = (x - drag.from_pixels.0).hypot(y - drag.from_pixels.1) >= DRAG_PIXELS;
        if !far && !self.has_dragged.get_value() {
            return;
        }
        if !self.has_dragged.get_value() {
            self.has_dragged.set_value(true);
            capture(event);
        }
        self.hovered.set(None);
        self.drawn.set(Some(Region::between(drag.from, to)));
    }

    /// The button is let go, or the browser takes the pointer for itself.
    pub fn release(&self) {
        self.drag.set_value(None);
    }

    /// The pointer leaves a picture.
    pub fn leave(&self) {
        if self.hovered.with_untracked(Option::is_some) {
            self.hovered.set(None);
        }
    }

    /// Whether the press that a click ends was a drag: it is no click then.
    pub fn was_drag(&self) -> bool {
        self.has_dragged.get_value()
    }

    /// Arrows move the region, or with Shift resize it. Whether the key was one of them.
    pub fn take_key(&self, event: &KeyboardEvent) -> bool {
        let (right, down) = match event.key().as_str() {
            "ArrowRight" => (KEY_STEP, 0.0),
            "ArrowLeft" => (-KEY_STEP, 0.0),
            "ArrowDown" => (0.0, KEY_STEP),
            "ArrowUp" => (0.0, -KEY_STEP),
            _ => return false,
        };
        let region = match self.drawn.get_untracked() {
            Some(region) if event.shift_key() => region.resized(right, down),
            Some(region) => region.moved(right, down),
            None => Region::middle(),
        };
        self.hovered.set(None);
        self.drawn.set(Some(region));
        true
    }
}

/// Where on the picture the pointer is, in shares of its sides.
fn place(event: &PointerEvent) -> Option<(f64, f64)> {
    let rectangle = element(event)?.get_bounding_client_rect();
    let (x, y) = pixels(event);
    let share = |value: f64, side: f64| if side > 0.0 { value / side } else { 0.0 };
    Some((
        share(x - rectangle.left(), rectangle.width()),
        share(y - rectangle.top(), rectangle.height()),
    ))
}

fn pixels(event: &PointerEvent) -> (f64, f64) {
    (f64::from(event.client_x()), f64::from(event.client_y()))
}

/// The drag goes on outside of the picture; where that is refused it ends at the edge.
fn capture(event: &PointerEvent) {
    if let Some(element) = element(event) {
        let _ = element.set_pointer_capture(event.pointer_id());
    }
}

fn element(event: &PointerEvent) -> Option<web_sys::Element> {
    use wasm_bindgen::JsCast;
    event.current_target()?.dyn_into().ok()
}
