//! Who hears what happens while images are published: the renderer, and who remembers the tags
//! that have moved.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nixpy_pipeline::event::Event;

use crate::render::{Renderer, line};

/// All of one command.
pub struct Listeners<'a> {
    /// Who shows it.
    pub renderer: &'a dyn Renderer,
    moved: MovedTags,
}

impl Listeners<'_> {
    /// Tells everybody; who shows it is the last to know.
    pub fn hear(&self, event: &Event<'_>) {
        self.moved.note(event);
        self.renderer.event(event);
    }
}

/// Does work that is listened to. If it is dropped in the middle, the tags are said that it had
/// moved; if not, it has told them itself.
pub async fn heard<T>(renderer: &dyn Renderer, work: impl AsyncFnOnce(&Listeners<'_>) -> T) -> T {
    let listeners = Listeners {
        renderer,
        moved: MovedTags::default(),
    };
    let done = work(&listeners).await;
    listeners.moved.is_told();
    done
}

/// Says, when work is dropped in the middle, which tags it had moved.
#[derive(Default)]
struct MovedTags {
    references: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl MovedTags {
    /// The report tells it.
    fn is_told(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn note(&self, event: &Event<'_>) {
        if let (Event::Tagged(reference), Ok(mut references)) = (event, self.references.lock()) {
            references.push((*reference).to_owned());
        }
    }
}

impl Drop for MovedTags {
    fn drop(&mut self) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        match self.references.lock().as_deref().map(Vec::as_slice) {
            Ok([]) | Err(_) => line("cancelled: no tag was moved"),
            Ok(moved) => line(&format!("cancelled: moved already: {}", moved.join(", "))),
        }
    }
}
