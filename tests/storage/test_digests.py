"""Digests of files, and of JSON that carries its own."""

import hashlib

import pytest

from lib.storage import digests


def test_a_digest_is_sha_256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert digests.of(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_sealed_json_is_read_as_it_was_written_or_not_at_all(tmp_path):
    """Any byte that is another, cut or added makes it unreadable."""
    path = tmp_path / "x.json"
    digests.write_sealed(path, {"π": [1, 2.5, None], "path": tmp_path})
    assert digests.read_sealed(path) == {"π": [1, 2.5, None], "path": str(tmp_path)}
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found = digests.read_sealed(path)
        assert found is None or found == {"π": [1, 2.5, None], "path": str(tmp_path)}  # white space between the values
        path.write_bytes(whole[: at // 2])
        assert digests.read_sealed(path) is None
    path.unlink()
    assert digests.read_sealed(path) is None


@pytest.mark.parametrize("value", ["[]", "1", "null", '{"digest": 3}', "{}", "\0"])
def test_what_was_never_sealed_is_not_read(value, tmp_path):
    (tmp_path / "x.json").write_text(value)
    assert digests.read_sealed(tmp_path / "x.json") is None


def test_damage_is_named_and_set_aside(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    known = {name: digests.of(tmp_path / name) for name in "abc"}
    assert digests.damaged(tmp_path, known) == []
    (tmp_path / "b").write_text("x")
    (tmp_path / "c").unlink()
    assert digests.damaged(tmp_path, known) == ["b", "c"]
    assert digests.set_aside(tmp_path / "b") == tmp_path / "damaged-b" and not (tmp_path / "b").exists()
    assert digests.set_aside(tmp_path / "c") is None
