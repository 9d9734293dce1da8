use super::*;

#[test]
fn a_submodules_git_directory_stands_in_its_parents() {
    let root = Place {
        tree: Vec::new(),
        git_dir: b".git".to_vec(),
    };
    let module = Submodule {
        name: "m".into(),
        path: "lib/m".into(),
        url: String::new(),
    };
    let one = inside(&root, b"lib/m", Some(&module));
    assert_eq!(
        (&one.tree[..], &one.git_dir[..]),
        (&b"lib/m"[..], &b".git/modules/m"[..])
    );
    let two = inside(&one, b"lib/m", Some(&module));
    assert_eq!(two.git_dir, b".git/modules/m/modules/m");
    assert_eq!(inside(&one, b"x", None).git_dir, b"lib/m/x/.git");
}
