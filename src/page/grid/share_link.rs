//! The link of the grid on show, and what a followed link's digests say of it.

use std::sync::Arc;

use leptos::prelude::*;

use crate::page::shell::clipboard;
use crate::page::workers::grid::Grid;
use crate::recipe::CellAddress;
use crate::recipe::device::DevicePreference;
use crate::recipe::digest::{Agreement, compare};
use crate::recipe::link::Link;
use crate::view::address::{SharedRun, on_page};

/// The complete link of a grid, as an address of this page. It carries the digests of the first cell
/// as far as that is drawn.
fn link_of(grid: &Grid) -> Option<String> {
    let digests = grid
        .cell(CellAddress::default())
        .map(|cell| cell.view.with_untracked(|view| view.digests.clone()))
        .unwrap_or_default();
    let pair = on_page(grid.pair_address.clone());
    // Which device draws is the receiver's own affair.
    let link = Link::complete(
        &grid.recipe,
        DevicePreference::Automatic,
        pair.as_deref(),
        &digests,
    );
    let href = location().href().ok()?;
    let page = href.split('#').next().unwrap_or_default();
    Some(format!("{page}#{link}"))
}

/// Copies the grid's link; `status` gets a sentence that says whether that worked.
pub fn copy(grid: Arc<Grid>, status: WriteSignal<Option<String>>) {
    let Some(link) = link_of(&grid) else {
        status.set(Some(
            "The page's own address can't be read: reload the page and try again.".to_owned(),
        ));
        return;
    };
    leptos::task::spawn_local(async move {
        status.set(Some(if clipboard::copy(&link).await {
            format!("Link copied ({} characters).", link.chars().count())
        } else {
            format!("This browser doesn't let the page copy. The link is: {link}")
        }));
    });
}

/// What a link's digests say of a grid; none where the link is of another recipe, or has none.
pub fn agreement(grid: &Grid, shared_run: &SharedRun) -> Option<String> {
    if shared_run.digests.is_empty() || shared_run.recipe != grid.recipe {
        return None;
    }
    let cell = grid.cell(CellAddress::default())?;
    let all = shared_run.digests.len();
    cell.view.with(|view| match compare(&view.digests, &shared_run.digests) {
        Agreement::Agrees(0) => None,
        Agreement::Agrees(steps) if steps == all => Some(format!(
            "The first cell agrees with the link's run in all {steps} steps."
        )),
        Agreement::Agrees(steps) => Some(format!(
            "The first cell agrees with the link's run so far: {steps} of {all} steps."
        )),
        Agreement::DiffersFrom(step) if !shared_run.is_whole => Some(format!(
            "The first cell differs from the link's run from step {step} of {all} on. The link's checksum \
             was taken off: where the link was edited since, that is why."
        )),
        Agreement::DiffersFrom(step) => Some(format!(
            "The first cell differs from the link's run from step {step} of {all} on, by more than \
             rounding: the sender's device, weights or version of this page compute otherwise."
        )),
    })
}
