//! What the pair knows, a press away from the prompt.

use std::sync::Arc;

use leptos::html::Details;
use leptos::prelude::*;

use crate::vocabulary::{Lookup, Scene, ScenePart, Thing};

/// A name and what else the thing is called.
type Listed = (String, Vec<String>);

/// A disclosure with the groups of things, the styles and the backgrounds; nothing where the pair has
/// no vocabulary. Buttons are made when their group is opened: a thousand of them take their time.
#[component]
pub fn KnownWords(
    prompt: RwSignal<String>,
    #[prop(into)] lookup: Signal<Option<Arc<Lookup>>>,
    /// The disclosure, which other parts of the page open too.
    disclosure: NodeRef<Details>,
) -> impl IntoView {
    let open = RwSignal::new(false);
    let scene = Memo::new(move |_| {
        lookup.with(|lookup| match lookup {
            Some(lookup) => prompt.with(|prompt| lookup.scene(prompt)),
            None => Scene::default(),
        })
    });
    let choose = Callback::new(move |(part, name): (ScenePart, String)| {
        prompt.set(scene.get_untracked().with(part, &name).prompt());
    });
    let lists = move || {
        let lookup = lookup.get()?;
        open.get()
            .then(|| view! { <Lists lookup=lookup scene=scene on_choose=choose /> })
    };
    move || {
        lookup.with(Option::is_some).then(|| {
            view! {
                <details
                    node_ref=disclosure
                    class="known-words"
                    data-testid="known-words"
                    on:toggle=move |_| open.set(is_open(disclosure))
                >
                    <summary>"What it knows"</summary>
                    {lists}
                </details>
            }
        })
    }
}

#[component]
fn Lists(
    lookup: Arc<Lookup>,
    scene: Memo<Scene>,
    on_choose: Callback<(ScenePart, String)>,
) -> impl IntoView {
    let vocabulary = lookup.vocabulary();
    let groups = (0..vocabulary.groups.len()).map(|index| {
        view! { <GroupList lookup=lookup.clone() index=index scene=scene on_choose=on_choose /> }
    });
    let words = [
        ("Styles", &vocabulary.styles, ScenePart::Style),
        (
            "Backgrounds",
            &vocabulary.backgrounds,
            ScenePart::Background,
        ),
    ];
    let words = words.into_iter().filter(|(_, names, _)| !names.is_empty());
    let words = words.map(|(label, names, part)| {
        let names = names.iter().map(|name| (name.clone(), Vec::new()));
        let names = names.collect();
        view! {
            <p class="known-kind">{label}</p>
            <Chips label=label.to_owned() names=names part=part scene=scene on_choose=on_choose />
        }
    });
    view! {
        <p class="help">"A press puts it into the prompt."</p>
        {groups.collect_view()}
        {words.collect_view()}
    }
}

/// The things of a group, closed at first.
#[component]
fn GroupList(
    lookup: Arc<Lookup>,
    /// The group's place in the vocabulary.
    index: usize,
    scene: Memo<Scene>,
    on_choose: Callback<(ScenePart, String)>,
) -> impl IntoView {
    let open = RwSignal::new(false);
    let disclosure = NodeRef::<Details>::new();
    let group = lookup.vocabulary().groups.get(index);
    let name = group.map(|group| group.name.clone()).unwrap_or_default();
    let count = group.map_or(0, |group| group.words.len());
    let label = name.clone();
    let chips = move || {
        let group = lookup.vocabulary().groups.get(index)?;
        open.get().then(|| {
            let listed = |thing: &Thing| (thing.name().to_owned(), thing.synonyms().to_vec());
            let names = group.words.iter().map(listed).collect();
            let (label, part) = (label.clone(), ScenePart::Thing);
            view! { <Chips label=label names=names part=part scene=scene on_choose=on_choose /> }
        })
    };
    view! {
        <details
            node_ref=disclosure
            class="known-group"
            on:toggle=move |_| open.set(is_open(disclosure))
        >
            <summary>
                <span class="known-name">{name}</span>
                " "
                <small>{count}</small>
            </summary>
            {chips}
        </details>
    }
}

/// A button per name; what the prompt already says is marked.
#[component]
fn Chips(
    label: String,
    names: Vec<Listed>,
    part: ScenePart,
    scene: Memo<Scene>,
    on_choose: Callback<(ScenePart, String)>,
) -> impl IntoView {
    let chip = move |(name, synonyms): Listed| {
        let (shown, chosen) = (name.clone(), name.clone());
        let is_current = move || scene.with(|scene| scene.is(part, &shown)).then_some("true");
        let title = (!synonyms.is_empty()).then(|| format!("also {}", synonyms.join(", ")));
        view! {
            <li>
                <button
                    type="button"
                    class="chip"
                    title=title
                    aria-current=is_current
                    on:click=move |_| on_choose.run((part, chosen.clone()))
                >
                    {name}
                </button>
            </li>
        }
    };
    view! {
        <ul class="chips" aria-label=label>
            {names.into_iter().map(chip).collect_view()}
        </ul>
    }
}

fn is_open(disclosure: NodeRef<Details>) -> bool {
    let details = disclosure.get_untracked();
    details.is_some_and(|details| details.open())
}
