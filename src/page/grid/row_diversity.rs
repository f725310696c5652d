//! A row's diversity, and how much it differs from that of the row that it is compared with.

use leptos::prelude::*;

use crate::metrics::{Diversity, RowDistances};
use crate::view::diversity::{difference, interval};

/// The row that a row is compared with.
#[derive(Clone)]
pub struct ComparedRow {
    pub name: String,
    pub distances: ArcRwSignal<RowDistances>,
}

/// The mean distance of a row's images with its interval, and below it the paired difference from another
/// row, where both have enough images for one.
#[component]
pub fn RowDiversity(
    /// The row's key.
    key: String,
    diversity: ArcRwSignal<Option<Diversity>>,
    distances: ArcRwSignal<RowDistances>,
    /// None where there is no row to compare with.
    compared: Option<ComparedRow>,
) -> impl IntoView {
    let handle = format!("diversity-{key}");
    let mean = move || {
        let handle = handle.clone();
        diversity.get().map(|it| {
            view! {
                <span
                    class="row-diversity"
                    title="Mean pairwise structural dissimilarity of the row's images, with its 95 % interval from four images on"
                    data-testid=handle
                    data-mean=it.mean.to_string()
                    data-margin=it.margin.map(|margin| margin.to_string())
                    data-n=it.pictures.to_string()
                >
                    "diversity "
                    <b>{format!("{:.3}", it.mean)}</b>
                    {interval(&it).map(|range| view! { <span class="whole">{format!(" ({range})")}</span> })}
                    ", "
                    <span class="whole">{format!("n = {}", it.pictures)}</span>
                </span>
            }
        })
    };
    let handle = format!("difference-{key}");
    let words = Memo::new(move |_| {
        let compared = compared.as_ref()?;
        let less = distances.with(|own| compared.distances.with(|other| own.less(other)))?;
        Some(difference(&less, &compared.name))
    });
    view! {
        {mean}
        {move || {
            let handle = handle.clone();
            words
                .get()
                .map(|words| {
                    view! {
                        <span
                            class="row-diversity"
                            title="Mean difference of the same pairs of seeds, with its 95 % interval: it is known better than either row's own diversity"
                            data-testid=handle
                        >
                            {words}
                        </span>
                    }
                })
        }}
    }
}
