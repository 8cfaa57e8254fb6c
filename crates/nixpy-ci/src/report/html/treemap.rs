//! Areas as large as what they stand for: rectangles as nearly square as can be, by the
//! algorithm of Bruls, Huizing and van Wijk ("Squarified Treemaps", 2000). Pure.

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Of its left side.
    pub x: f64,
    /// Of its upper side.
    pub y: f64,
    /// From left to right.
    pub width: f64,
    /// From the top down.
    pub height: f64,
}

impl Area {
    /// The same without a margin; nothing is left of one that is too small for it.
    pub fn inside(self, margin: f64) -> Self {
        let less = |length: f64| (length - 2.0 * margin).max(0.0);
        Self {
            x: self.x + margin.min(self.width / 2.0),
            y: self.y + margin.min(self.height / 2.0),
            width: less(self.width),
            height: less(self.height),
        }
    }

    fn shorter_side(self) -> f64 {
        self.width.min(self.height)
    }
}

/// One area for each size, in the same order; together they fill the whole. Sizes that come
/// in descending order give the best shapes.
pub fn squarified(sizes: &[u64], whole: Area) -> Vec<Area> {
    let sum: f64 = sizes.iter().map(|size| *size as f64).sum();
    let scale = match sum > 0.0 {
        true => whole.width * whole.height / sum,
        false => 0.0,
    };
    let areas: Vec<f64> = sizes.iter().map(|size| *size as f64 * scale).collect();
    let mut placed = Vec::with_capacity(areas.len());
    let mut left = whole;
    let mut rest = areas.as_slice();
    while !rest.is_empty() {
        let count = best_row(rest, left.shorter_side());
        let (row, others) = rest.split_at(count);
        left = place(row, left, &mut placed);
        rest = others;
    }
    placed
}

/// How many of the first make the row whose worst shape is best.
fn best_row(areas: &[f64], side: f64) -> usize {
    let mut count = 1;
    let mut worst = worst_shape(&areas[..1], side);
    while count < areas.len() {
        let next = worst_shape(&areas[..=count], side);
        if next > worst {
            break;
        }
        worst = next;
        count += 1;
    }
    count
}

/// Of the row along this side: how much longer than wide its worst area is.
fn worst_shape(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let largest = row.iter().copied().fold(0.0, f64::max);
    let smallest = row.iter().copied().fold(f64::INFINITY, f64::min);
    if smallest <= 0.0 || side <= 0.0 {
        return f64::INFINITY;
    }
    let (side, sum) = (side * side, sum * sum);
    (side * largest / sum).max(sum / (side * smallest))
}

/// Lays a row along the shorter side, and tells what is left.
fn place(row: &[f64], left: Area, placed: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum();
    let is_wide = left.width >= left.height;
    let side = left.shorter_side();
    let deep = match side > 0.0 {
        true => (sum / side).min(left.width.max(left.height)),
        false => 0.0,
    };
    let mut at = 0.0;
    for area in row {
        let long = match sum > 0.0 {
            true => side * area / sum,
            false => 0.0,
        };
        placed.push(match is_wide {
            true => Area {
                x: left.x,
                y: left.y + at,
                width: deep,
                height: long,
            },
            false => Area {
                x: left.x + at,
                y: left.y,
                width: long,
                height: deep,
            },
        });
        at += long;
    }
    match is_wide {
        true => Area {
            x: left.x + deep,
            width: (left.width - deep).max(0.0),
            ..left
        },
        false => Area {
            y: left.y + deep,
            height: (left.height - deep).max(0.0),
            ..left
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Area = Area {
        x: 10.0,
        y: 20.0,
        width: 600.0,
        height: 400.0,
    };

    #[test]
    fn each_area_is_as_large_as_what_it_stands_for() {
        let sizes = [6_u64, 6, 4, 3, 2, 2, 1];
        let areas = squarified(&sizes, WHOLE);
        let sum: u64 = sizes.iter().sum();
        for (size, area) in sizes.iter().zip(&areas) {
            let expected = *size as f64 * 240_000.0 / sum as f64;
            assert!(
                (area.width * area.height - expected).abs() < 0.001,
                "{area:?}"
            );
        }
    }

    #[test]
    fn they_lie_within_the_whole_and_not_on_each_other() {
        let sizes: Vec<u64> = (1..60).rev().map(|n| n * n).collect();
        let areas = squarified(&sizes, WHOLE);
        for (n, a) in areas.iter().enumerate() {
            assert!(a.x >= 9.999 && a.y >= 19.999, "{a:?}");
            assert!(
                a.x + a.width <= 610.001 && a.y + a.height <= 420.001,
                "{a:?}"
            );
            for b in &areas[n + 1..] {
                let beside = a.x + a.width <= b.x + 0.001 || b.x + b.width <= a.x + 0.001;
                let below = a.y + a.height <= b.y + 0.001 || b.y + b.height <= a.y + 0.001;
                assert!(beside || below, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn they_are_as_in_the_paper() {
        let whole = Area {
            x: 0.0,
            y: 0.0,
            width: 6.0,
            height: 4.0,
        };
        let shapes: Vec<(f64, f64)> = squarified(&[6, 6, 4, 3, 2, 2, 1], whole)
            .iter()
            .map(|area| (area.width, area.height))
            .collect();
        assert_eq!(shapes[..2], [(3.0, 2.0), (3.0, 2.0)]);
        assert!(
            shapes.iter().all(|(w, h)| (w / h).max(h / w) < 3.1),
            "{shapes:?}"
        );
    }

    #[test]
    fn nothing_and_too_much_have_their_place_as_well() {
        assert_eq!(squarified(&[], WHOLE), []);
        for sizes in [vec![0, 0], vec![5, 0], vec![u64::MAX, u64::MAX, 1]] {
            let areas = squarified(&sizes, WHOLE);
            assert_eq!(areas.len(), sizes.len());
            assert!(
                areas
                    .iter()
                    .all(|a| a.width.is_finite() && a.height.is_finite())
            );
            assert!(areas.iter().all(|a| a.width >= 0.0 && a.height >= 0.0));
        }
        let none = Area {
            width: 0.0,
            ..WHOLE
        };
        assert_eq!(squarified(&[1, 2], none).len(), 2);
    }
}
