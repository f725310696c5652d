//! The size of the pictures.

use leptos::prelude::*;

use super::controls::Controls;
use super::number_field::NumberField;
use super::wrong_field::sentence_at;
use crate::protocol::engine::PairInfo;
use crate::recipe::bounds::Bounds;
use crate::recipe::parameters::{OWN_SIZE, place};
use crate::recipe::size::{ImageSize, ImageSizes, LONGEST_SIDE, SHORTEST_SIDE};

/// The option's value for a size that is typed.
const TYPED: &str = "typed";

/// The sizes that the pair draws; nothing where it has one size, and the recipe asks for no other.
#[component]
pub fn SizeField(
    controls: Controls,
    #[prop(into)] pair: Signal<Option<PairInfo>>,
) -> impl IntoView {
    let value = controls.text(place::SIZE);
    let sizes = Memo::new(move |_| pair.with(|pair| Some(pair.as_ref()?.sizes)));
    let is_own = Memo::new(move |_| value.with(|text| text.is_empty() || text == OWN_SIZE));
    let is_shown = Memo::new(move |_| {
        let has_range = sizes.get().is_some_and(|sizes| sizes.sides.is_some());
        has_range || !is_own.get()
    });
    view! {
        {move || {
            let sizes = sizes.get().filter(|_| is_shown.get())?;
            Some(view! { <Size controls=controls value=value sizes=sizes is_own=is_own /> })
        }}
    }
}

#[component]
fn Size(
    controls: Controls,
    value: RwSignal<String>,
    sizes: ImageSizes,
    is_own: Memo<bool>,
) -> impl IntoView {
    let wrong = sentence_at(controls.wrong, "size");
    let is_listed = move |text: &str| {
        text.is_empty() || text == OWN_SIZE || sizes.offered().any(|size| size.key() == text)
    };
    // A visitor who types a size may pass through one that is listed.
    let types = RwSignal::new(value.with_untracked(|text| !is_listed(text)));
    let is_typed = Memo::new(move |_| types.get() || value.with(|text| !is_listed(text)));
    // As texts, so that a visitor can empty a field and type anew.
    let [width, height] = [RwSignal::new(String::new()), RwSignal::new(String::new())];
    let show = move |text: &str| {
        let own = sizes.own.key();
        let text = if text.is_empty() || text == OWN_SIZE {
            own.as_str()
        } else {
            text
        };
        if let Some((first, second)) = text.split_once('x') {
            for (side, text) in [(width, first), (height, second)] {
                if side.with_untracked(|side| side != text) {
                    side.set(text.to_owned());
                }
            }
        }
    };
    // The last text that the two fields gave: any other comes from a link, a picture or the list.
    let given = StoredValue::new(String::new());
    Effect::new(move |_| {
        value.with(|text| {
            if given.with_value(|given| given != text) {
                types.set(!is_listed(text));
                show(text);
            }
        });
    });
    Effect::new(move |_| {
        let text = format!("{}x{}", width.get(), height.get());
        if is_typed.get_untracked() && value.with_untracked(|value| *value != text) {
            given.set_value(text.clone());
            value.set(text);
        }
    });
    let choose = move |event| {
        let chosen = event_target_value(&event);
        if chosen == TYPED {
            types.set(true);
            show(&value.get_untracked());
        } else {
            types.set(false);
            value.set(chosen);
        }
    };
    let option = move |key: String, label: String| {
        let own_key = key.clone();
        let is_chosen = move || {
            let is_this =
                value.with(|text| *text == own_key) || (own_key == OWN_SIZE && is_own.get());
            is_this && !is_typed.get()
        };
        view! {
            <option value=key prop:selected=is_chosen>
                {label}
            </option>
        }
    };
    let explanation = move || {
        if let Some(sentence) = wrong.get() {
            return sentence;
        }
        let size = match value.with(|text| ImageSize::parse(text)) {
            None if is_own.get() => return String::new(),
            size => size,
        };
        match size.map(|size| sizes.drawn(Some(size))) {
            Some(Ok(size)) => beside_own(size, sizes.own),
            Some(Err(error)) => error.to_string(),
            None => format!("This has to be of {sizes}."),
        }
    };
    let is_wrong = move || {
        let is_refused = wrong.with(Option::is_some);
        is_refused
            || !is_own.get()
                && value
                    .with(|text| ImageSize::parse(text))
                    .is_none_or(|size| sizes.drawn(Some(size)).is_err())
    };
    let (shortest, longest) = sizes.sides.unwrap_or((SHORTEST_SIDE, LONGEST_SIDE));
    let bounds = Bounds {
        minimum: shortest,
        maximum: longest,
    };
    view! {
        <div class="size" data-testid="size-fields">
            <div class="field wide">
                <label for="size">"Size"</label>
                <select
                    id="size"
                    data-testid="size"
                    aria-describedby="size-help"
                    aria-invalid=move || is_wrong().then_some("true")
                    on:change=choose
                >
                    {option(OWN_SIZE.to_owned(), format!("The pair's own ({})", sizes.own))}
                    {sizes
                        .offered()
                        .map(|size| option(size.key(), size.to_string()))
                        .collect_view()}
                    <option value=TYPED prop:selected=move || is_typed.get()>
                        "Another…"
                    </option>
                </select>
                <p id="size-help" class="help" data-testid="size-help">
                    {explanation}
                </p>
            </div>
            {move || {
                is_typed
                    .get()
                    .then(|| {
                        view! {
                            <div class="fields">
                                <NumberField label="Width" handle="width" value=width bounds=bounds step="64" />
                                <NumberField label="Height" handle="height" value=height bounds=bounds step="64" />
                            </div>
                        }
                    })
            }}
        </div>
    }
}

/// What a size takes beside the pair's own.
fn beside_own(size: ImageSize, own: ImageSize) -> String {
    let ratio = size.area() as f64 / own.area() as f64;
    if (0.9..=1.1).contains(&ratio) {
        format!("About as many pixels as {own}.")
    } else {
        format!("{ratio:.1} times the pixels of {own}: time and memory change as much or more.")
    }
}
