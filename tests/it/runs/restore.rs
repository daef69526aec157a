//! restore-database, swap-back and release-held, on a real PostgreSQL.

use super::shop::{Shop, from};

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_backup_is_restored_and_put_back_and_released_as_root() {
    let shop = Shop::open();
    let around = shop.around();
    let backup = from(&shop.backup("shop.dump"));
    let wish = ["restore-database", &backup];
    let (code, said) = shop.ground.call(&[&["runbook", "plan"][..], &wish].concat());
    assert_eq!(code, 0, "{said}");
    for part in
        ["user postgres", "create database \"shop_mw_", "database shop: server ", "kept as shop_held_", "undone by"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("secret"), "{said}");
    let (code, said) = shop.run(&wish);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!(shop.orders(), "2000", "{said}");
    assert!(said.contains("shop_order: 2000 rows, 7 fewer than in use"), "{said}");
    assert_eq!(shop.around(), around, "what hangs on the database");
    let held = shop.held();
    assert_eq!(shop.databases(), ["shop".to_owned(), held.clone()], "{said}");
    assert_eq!(shop.sql(&held, "select count(*) from shop_order"), "2007");
    assert_eq!(shop.sql("shop", "select distinct tableowner from pg_tables where schemaname = 'public'"), "shop");

    // Orders go on; then what was held is put back.
    shop.sql("shop", "insert into shop_order (code) values ('meanwhile')");
    let parameter = format!("held={held}");
    let (code, said) = shop.run(&["swap-back", &parameter]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!(shop.orders(), "2007", "{said}");
    assert_eq!(shop.around(), around, "what hangs on the database");
    let held = shop.held();
    assert_eq!(shop.sql(&held, "select count(*) from shop_order"), "2001");

    // It is released only when a newer backup is proven, and nothing else is.
    let parameter = format!("held={held}");
    let said = shop.refused(&["release-held", &parameter]);
    assert!(said.contains("proven complete"), "{said}");
    shop.refused(&["release-held", "held=shop"]);
    shop.sql("postgres", "create database shop_held_20200101000000");
    shop.refused(&["release-held", "held=shop_held_20200101000000"]);
    shop.dump("newer.dump", &["-Fc"]);
    let (code, said) = shop.ground.call(&["backups", "verify"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = shop.run(&["release-held", &parameter]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(shop.databases(), ["shop", "shop_held_20200101000000"]);
}
