//! Where boxes stand and lines run: layers by the longest way from a source, lanes for lines that pass layers by, order by
//! the mean place of neighbours, heights by the same.

use std::collections::{BTreeMap, BTreeSet};

/// Width and height of a box.
pub(super) const BOX: (f64, f64) = (188.0, 64.0);
const GAP: (f64, f64) = (48.0, 16.0);
/// A line that passes a layer takes less room than a box.
const LANE: f64 = 12.0;
const MARGIN: f64 = 6.0;
const ROUNDS: usize = 8;

/// A finished layout.
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The upper left corner of each node.
    pub(super) boxes: Vec<(f64, f64)>,
    /// The pieces of the lines from producers to consumers, each from left to right. Lines that share a piece have it once.
    pub(super) lines: Vec<[(f64, f64); 2]>,
}

/// Something that takes room in a layer: a node, or the lane of the lines that start at one.
struct Slot {
    layer: usize,
    tall: f64,
    /// Its middle.
    y: f64,
    before: Vec<usize>,
    after: Vec<usize>,
}

/// Lays out nodes given by their producers, which come before them.
pub(super) fn layout(from: &[Vec<usize>]) -> Layout {
    let depth = depths(from);
    let mut slots: Vec<Slot> = depth.iter().map(|layer| slot(*layer, BOX.1)).collect();
    let routes = routes(from, &depth, &mut slots);
    let mut layers = vec![Vec::new(); depth.iter().max().map_or(1, |deepest| deepest + 1)];
    (0..slots.len()).for_each(|at| layers[slots[at].layer].push(at));
    arrange(&mut layers, &mut slots);
    finish(from.len(), &slots, &routes, layers.len())
}

fn slot(layer: usize, tall: f64) -> Slot {
    Slot {
        layer,
        tall,
        y: 0.0,
        before: Vec::new(),
        after: Vec::new(),
    }
}

/// The longest way from a source to each node; sources stand just before their first consumer.
fn depths(from: &[Vec<usize>]) -> Vec<usize> {
    let mut depth = vec![0; from.len()];
    for at in 0..from.len() {
        depth[at] = from[at]
            .iter()
            .filter(|&&producer| producer < at)
            .map(|&producer| depth[producer] + 1)
            .max()
            .unwrap_or(0);
    }
    for at in (0..from.len()).rev().filter(|&at| from[at].is_empty()) {
        let consumers = (at + 1..from.len()).filter(|&consumer| from[consumer].contains(&at));
        depth[at] = consumers.map(|consumer| depth[consumer] - 1).min().unwrap_or(0);
    }
    depth
}

/// The slots each line passes, producer first. Lines of one producer share its lanes.
fn routes(from: &[Vec<usize>], depth: &[usize], slots: &mut Vec<Slot>) -> Vec<Vec<usize>> {
    let mut lanes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut routes = Vec::new();
    for (consumer, producers) in from.iter().enumerate() {
        for &producer in producers.iter().filter(|&&producer| producer < consumer) {
            let mut route = vec![producer];
            for layer in depth[producer] + 1..depth[consumer] {
                let lane = *lanes.entry((producer, layer)).or_insert_with(|| {
                    slots.push(slot(layer, LANE));
                    slots.len() - 1
                });
                route.push(lane);
            }
            route.push(consumer);
            routes.push(route);
        }
    }
    for pair in routes.iter().flat_map(|route| route.windows(2)) {
        slots[pair[0]].after.push(pair[1]);
        slots[pair[1]].before.push(pair[0]);
    }
    routes
}

/// Orders and places each layer by its neighbours, to and fro.
fn arrange(layers: &mut [Vec<usize>], slots: &mut [Slot]) {
    layers
        .iter()
        .for_each(|layer| pack(layer, &vec![0.0; layer.len()], slots));
    for round in 0..ROUNDS {
        let forward = round % 2 == 0;
        let order: Vec<usize> = if forward {
            (0..layers.len()).collect()
        } else {
            (0..layers.len()).rev().collect()
        };
        for at in order {
            let wish = |slot: usize, slots: &[Slot]| {
                let near = if forward {
                    &slots[slot].before
                } else {
                    &slots[slot].after
                };
                let sum: f64 = near.iter().map(|other| slots[*other].y).sum();
                if near.is_empty() {
                    slots[slot].y
                } else {
                    sum / near.len() as f64
                }
            };
            layers[at].sort_by(|a, b| wish(*a, slots).total_cmp(&wish(*b, slots)));
            let wishes: Vec<f64> = layers[at].iter().map(|slot| wish(*slot, slots)).collect();
            pack(&layers[at], &wishes, slots);
        }
    }
}

/// Places a layer in its order, each slot as near to its wish as those above allow, the whole moved to the mean wish.
fn pack(layer: &[usize], wishes: &[f64], slots: &mut [Slot]) {
    let (mut edge, mut shift) = (f64::NEG_INFINITY, 0.0);
    for (slot, wish) in layer.iter().zip(wishes) {
        let half = slots[*slot].tall / 2.0;
        let y = wish.max(edge + GAP.1 + half);
        slots[*slot].y = y;
        edge = y + half;
        shift += (wish - y) / layer.len() as f64;
    }
    layer.iter().for_each(|slot| slots[*slot].y += shift);
}

fn finish(nodes: usize, slots: &[Slot], routes: &[Vec<usize>], layers: usize) -> Layout {
    let top = slots
        .iter()
        .map(|slot| slot.y - slot.tall / 2.0)
        .fold(f64::INFINITY, f64::min)
        - MARGIN;
    let bottom = slots
        .iter()
        .map(|slot| slot.y + slot.tall / 2.0)
        .fold(f64::NEG_INFINITY, f64::max)
        + MARGIN;
    let left = |slot: &Slot| MARGIN + (BOX.0 + GAP.0) * slot.layer as f64;
    let end = |slot: usize, right: f64| (left(&slots[slot]) + right, slots[slot].y - top);
    let steps: BTreeSet<_> = routes
        .iter()
        .flat_map(|route| route.windows(2))
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let between = steps.iter().map(|(from, to)| [end(*from, BOX.0), end(*to, 0.0)]);
    let across = (nodes..slots.len()).map(|lane| [end(lane, 0.0), end(lane, BOX.0)]);
    Layout {
        width: layers as f64 * (BOX.0 + GAP.0) - GAP.0 + 2.0 * MARGIN,
        height: bottom - top,
        boxes: slots[..nodes]
            .iter()
            .map(|slot| (left(slot), slot.y - top - BOX.1 / 2.0))
            .collect(),
        lines: between.chain(across).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A collection that everything reads, a chain, and a fan of three.
    fn sample() -> Layout {
        layout(&[
            vec![],
            vec![0],
            vec![1],
            vec![2],
            vec![2],
            vec![2, 0],
            vec![3, 4, 5, 0],
        ])
    }

    #[test]
    fn lines_run_from_left_to_right_and_shared_pieces_stand_once() {
        let layout = sample();
        assert!(layout.lines.iter().all(|[from, to]| from.0 < to.0));
        // Eight lines to the next layer. Two to nodes far away share three lanes: with the ways between these, eight pieces.
        assert_eq!(layout.lines.len(), 16);
    }

    #[test]
    fn no_box_stands_on_another_or_outside() {
        let layout = sample();
        let apart = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() >= BOX.0 || (a.1 - b.1).abs() >= BOX.1;
        for (at, first) in layout.boxes.iter().enumerate() {
            assert!(layout.boxes[..at].iter().all(|second| apart(*first, *second)));
            assert!(first.0 >= 0.0 && first.1 >= 0.0);
            assert!(first.0 + BOX.0 <= layout.width && first.1 + BOX.1 <= layout.height);
        }
    }

    #[test]
    fn lines_pass_no_box_in_the_layers_between() {
        let layout = sample();
        let inside = |(x, y): (f64, f64), corner: &(f64, f64)| {
            (corner.0..=corner.0 + BOX.0).contains(&x) && (corner.1..=corner.1 + BOX.1).contains(&y)
        };
        // Pieces start and end at the sides of boxes; what crosses a layer does so beside them.
        for [from, to] in layout
            .lines
            .iter()
            .filter(|[from, to]| (to.0 - from.0 - BOX.0).abs() < 1e-9)
        {
            let middle = (f64::midpoint(from.0, to.0), from.1);
            assert!(
                !layout.boxes.iter().any(|corner| inside(middle, corner)),
                "{middle:?}"
            );
        }
    }

    #[test]
    fn a_source_stands_before_its_first_consumer() {
        assert_eq!(depths(&[vec![], vec![0], vec![], vec![1, 2]]), [0, 1, 1, 2]);
    }
}
