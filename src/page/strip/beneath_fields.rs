//! The choice of the second strip.

use leptos::prelude::*;

use super::open_cell::OpenCell;
use crate::recipe::CellAddress;
use crate::view::rows::row_name;
use crate::view::strip::other_than;

/// Any row and seed of the grid, or nothing.
#[component]
pub fn BeneathFields(
    /// The upper strip's cell.
    #[prop(into)]
    opened: Signal<Option<OpenCell>>,
    beneath: Signal<Option<CellAddress>>,
    on_choose: Callback<Option<CellAddress>>,
) -> impl IntoView {
    move || {
        let opened = opened.get()?;
        let (own, recipe) = (opened.address(), opened.grid.recipe.clone());
        let seed_count = recipe.seed_count;
        let choose = move |row: u32, column: u32| {
            on_choose.run(other_than(own, CellAddress { row, column }, seed_count));
        };
        let rows = opened.grid.rows.iter().zip(0u32..).map(|(row, index)| {
            let is_chosen = move || beneath.get().is_some_and(|it| it.row == index);
            // A strip under itself says nothing: its own row has to have another seed.
            let is_own = index == own.row && seed_count == 1;
            view! {
                <option value=index.to_string() disabled=is_own prop:selected=is_chosen>
                    {row_name(&row.row)}
                </option>
            }
        });
        let rows = rows.collect_view();
        let seeds = (0..seed_count).map(|column| {
            let is_chosen = move || beneath.get().is_some_and(|it| it.column == column);
            let is_own =
                move || own.column == column && beneath.get().is_some_and(|it| it.row == own.row);
            view! {
                <option value=column.to_string() disabled=is_own prop:selected=is_chosen>
                    {recipe.seed_of(column)}
                </option>
            }
        });
        let seeds = seeds.collect_view();
        let choose_row = move |event| match event_target_value(&event).parse() {
            Ok(row) => {
                let column = beneath.get_untracked().map_or(own.column, |it| it.column);
                choose(row, column);
            }
            Err(_) => on_choose.run(None),
        };
        let choose_seed = move |event| {
            if let (Ok(column), Some(beneath)) =
                (event_target_value(&event).parse(), beneath.get_untracked())
            {
                choose(beneath.row, column);
            }
        };
        Some(view! {
            <div class="strip-beneath">
                <span>
                    <label for="strip-beneath-row">"Beneath it"</label>
                    <select
                        id="strip-beneath-row"
                        data-testid="strip-beneath-row"
                        on:change=choose_row
                    >
                        <option value="" prop:selected=move || beneath.get().is_none()>
                            "nothing"
                        </option>
                        {rows}
                    </select>
                </span>
                <span>
                    <label for="strip-beneath-seed">"seed"</label>
                    <select
                        id="strip-beneath-seed"
                        data-testid="strip-beneath-seed"
                        disabled=move || beneath.get().is_none()
                        on:change=choose_seed
                    >
                        {seeds}
                    </select>
                </span>
            </div>
        })
    }
}
