//! What a frame costs: drawing the model, and finding the cells that changed.

use criterion::{Criterion, criterion_group, criterion_main};
use midwatch::app::model::{Model, Screen};
use midwatch::ui::theme::Theme;
use midwatch::ui::{self, Glyphs, Look};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

#[path = "../tests/it/support/fixtures.rs"]
#[expect(dead_code, reason = "only some of the situations are measured")]
mod fixtures;

fn look() -> Look {
    let theme = Theme::built_in("dark").unwrap_or_else(|| unreachable!("dark is built in"));
    Look { theme, glyphs: Glyphs::Unicode, zone: jiff::tz::TimeZone::UTC }
}

/// Draws the next second of `model` over the last frame, and diffs the two.
fn second(model: &mut Model, look: &Look, frames: &mut [Buffer; 2]) -> usize {
    model.now = model.now.plus_secs(1);
    frames.swap(0, 1);
    let [last, next] = frames;
    ui::draw(model, look, next);
    last.diff(next).len()
}

fn frame(criterion: &mut Criterion) {
    let look = look();
    let mut group = criterion.benchmark_group("frame");
    for (name, model, screen) in [
        ("now", fixtures::db_down(), Screen::Now),
        ("requests, 410 routes", fixtures::many_routes(), Screen::Requests),
        ("tasks", fixtures::worker_down(), Screen::Tasks),
        ("host", fixtures::hung_mount(), Screen::Host),
    ] {
        for (width, height) in [(80, 24), (160, 48)] {
            let mut model = Model { screen, ..model.clone() };
            let mut frames = [(), ()].map(|()| Buffer::empty(Rect::new(0, 0, width, height)));
            group.bench_function(format!("{name} {width}x{height}"), |bencher| {
                bencher.iter(|| second(&mut model, &look, &mut frames));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, frame);
criterion_main!(benches);
