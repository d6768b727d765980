from infra.backup.contents import belongs


def test_a_path_belongs_into_a_home_or_not() -> None:
    assert belongs("objects/ab/cd")
    assert belongs("registry.json")
    for name in ("", "/objects/a", "objects/../a", "objects//a", "./objects/a", "locks/a", "objects\\..\\a", ".."):
        assert not belongs(name), name
