//! The rooms of the loader depend one way: the `use` lines of its sources form no circle, neither
//! between the modules at the top nor between the files of those in [`ONE_WAY`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules whose files depend one way, too.
const ONE_WAY: [&str; 4] = ["config", "datapath", "runtime", "sysctl"];

type Graph = BTreeMap<String, BTreeSet<String>>;

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry of it").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// `a::{b, c::D}` as `a::b` and `a::c::D`.
fn flattened(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    let mut depth = 0;
    let parts = inside.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.filter(|part| !part.is_empty());
    parts.flat_map(|part| flattened(&format!("{prefix}{part}"))).collect()
}

/// The paths of the `use` lines outside tests, as seen from the root of the crate.
fn uses(text: &str, module: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut paths = Vec::new();
    for statement in text.split("\nuse ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let tree: String = statement.split_whitespace().collect();
        paths.extend(flattened(&tree).into_iter().filter_map(
            |path| match path.split_once("::")? {
                ("crate", path) => Some(path.to_owned()),
                ("super", path) => Some(format!("{parent}::{path}")),
                _ => None,
            },
        ));
    }
    paths
}

/// Modules by name, with the paths that they use.
fn modules() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).expect("below it").with_extension("");
        let name = name.to_string_lossy().replace('/', "::");
        let is_test = ["tests", "fixture", "golden"].iter().any(|test| name.contains(test));
        if path.extension().is_some_and(|it| it == "rs") && !is_test {
            let text = fs::read_to_string(&path).expect("a source");
            modules.insert(name.clone(), uses(&text, &name));
        }
    }
    modules
}

/// What depends on what, where `part` names the part that a path belongs to.
fn graph(part: impl Fn(&str) -> Option<String>) -> Graph {
    let mut graph = Graph::new();
    for (module, paths) in modules() {
        let Some(from) = part(&module) else { continue };
        let to = paths.iter().filter_map(|path| part(path)).filter(|to| *to != from);
        graph.entry(from.clone()).or_default().extend(to);
    }
    graph
}

/// A way from `at` back to the first of `way`.
fn circle(graph: &Graph, way: &mut Vec<String>, seen: &mut BTreeSet<String>) -> bool {
    let uses = way.last().and_then(|at| graph.get(at));
    for next in uses.into_iter().flatten() {
        if *next == way[0] {
            return true;
        }
        if seen.insert(next.clone()) {
            way.push(next.clone());
            if circle(graph, way, seen) {
                return true;
            }
            way.pop();
        }
    }
    false
}

fn assert_one_way(graph: &Graph) {
    for module in graph.keys() {
        let mut way = vec![module.clone()];
        assert!(!circle(graph, &mut way, &mut BTreeSet::new()), "a circle: {}", way.join(" -> "));
    }
}

#[test]
fn the_top_modules_depend_one_way() {
    let graph = graph(|path| {
        let top = path.split("::").next()?;
        (!matches!(top, "lib" | "main")).then(|| top.to_owned())
    });
    assert!(graph["state"].contains("config"), "{graph:?}");
    assert_one_way(&graph);
}

#[test]
fn files_depend_one_way() {
    for module in ONE_WAY {
        let prefix = format!("{module}::");
        let files: BTreeSet<_> = modules().into_keys().collect();
        assert!(files.iter().any(|file| file.starts_with(&prefix)), "no module {module}");
        assert_one_way(&graph(|path| {
            let file = path.strip_prefix(&prefix)?.split("::").next()?;
            (file != "mod" && files.contains(&format!("{prefix}{file}"))).then(|| file.to_owned())
        }));
    }
}
