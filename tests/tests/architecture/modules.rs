//! Which file of a crate names which other, read from its source.
//!
//! A name that the crate's root re-exports stands for the file it comes from. A file that names its parent
//! is no arrow: the two are one room. Not seen: names inside of macros, and what only tests name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, ItemUse, UseTree, Visibility};

/// A module's path within its crate; the root's is empty.
pub(crate) type Module = Vec<String>;

/// What each file of the crate in the folder `source` names.
pub(crate) fn arrows(source: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut files = BTreeMap::new();
    read(source, &Module::new(), &mut files);
    let exports = exports(&files);
    let named = |(module, file): (&Module, &File)| {
        let mut names = Names::default();
        names.visit_file(file);
        let targets = names.0.iter().filter_map(|name| {
            let (target, rest) = resolve(&files, module, name)?;
            if target.is_empty() { exports.get(rest.first()?).cloned() } else { Some(target) }
        });
        (module.clone(), targets.filter(|target| !module.starts_with(target)).collect())
    };
    files.iter().filter(|(module, _)| !module.is_empty()).map(named).collect()
}

/// The shortest way from each file back to itself, if there is one, as `a -> b -> a`.
pub(crate) fn circles(arrows: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let back_to = |start: &Module| {
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::new();
        let mut next = 0;
        while let Some(way) = ways.get(next).cloned() {
            for target in arrows.get(*way.last()?).into_iter().flatten() {
                let mut way = way.clone();
                way.push(target);
                if target == start {
                    let names: Vec<String> = way.iter().map(|module| module.join("::")).collect();
                    return Some(names.join(" -> "));
                }
                if seen.insert(target) {
                    ways.push(way);
                }
            }
            next += 1;
        }
        None
    };
    arrows.keys().filter_map(back_to).collect()
}

fn read(folder: &Path, at: &Module, files: &mut BTreeMap<Module, File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_root = at.is_empty() && (name == "lib" || name == "main");
        let mut module = at.clone();
        if !is_root && name != "mod" {
            module.push(name);
        }
        if path.is_dir() {
            read(&path, &module, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let file = syn::parse_file(&text);
            let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.insert(module, file);
        }
    }
}

/// The file of each name that the root re-exports.
fn exports(files: &BTreeMap<Module, File>) -> BTreeMap<String, Module> {
    let mut exports = BTreeMap::new();
    let Some(root) = files.get(&Module::new()) else { return exports };
    for item in &root.items {
        let Item::Use(item) = item else { continue };
        if matches!(item.vis, Visibility::Inherited) {
            continue;
        }
        for name in flat(&item.tree, &[]) {
            if let Some((module, rest)) = resolve(files, &Module::new(), &name)
                && let Some(name) = rest.last().or(module.last())
            {
                exports.insert(name.clone(), module.clone());
            }
        }
    }
    exports
}

/// The file that `name`, written in `module`, leads to, and what is left of the name there. None for
/// another crate's.
fn resolve(
    files: &BTreeMap<Module, File>,
    module: &Module,
    name: &[String],
) -> Option<(Module, Vec<String>)> {
    let mut base = module.clone();
    let mut name = name.iter().peekable();
    match name.peek()?.as_str() {
        "crate" => {
            base.clear();
            name.next();
        }
        "self" => {
            name.next();
        }
        "super" => {
            while name.next_if(|segment| *segment == "super").is_some() {
                base.pop();
            }
        }
        child => {
            base.push(child.to_owned());
            if !files.contains_key(&base) {
                return None;
            }
            base.pop();
        }
    }
    while let Some(segment) = name.peek() {
        base.push((*segment).clone());
        if !files.contains_key(&base) {
            base.pop();
            break;
        }
        name.next();
    }
    Some((base, name.cloned().collect()))
}

/// Every path of a `use` tree; a rename keeps the name it renames.
fn flat(tree: &UseTree, before: &[String]) -> Vec<Vec<String>> {
    let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
    match tree {
        UseTree::Path(path) => flat(&path.tree, &with(path.ident.to_string())),
        UseTree::Name(name) if name.ident == "self" => vec![before.to_vec()],
        UseTree::Name(name) => vec![with(name.ident.to_string())],
        UseTree::Rename(rename) => vec![with(rename.ident.to_string())],
        UseTree::Glob(_) => vec![before.to_vec()],
        UseTree::Group(group) => group.items.iter().flat_map(|tree| flat(tree, before)).collect(),
    }
}

#[derive(Default)]
struct Names(Vec<Vec<String>>);

impl<'a> Visit<'a> for Names {
    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.0.extend(flat(&item.tree, &[]));
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.0.push(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        if !item.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, item);
        }
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}
