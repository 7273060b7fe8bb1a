"""Identity of files and models by content."""

import os

from toedit.identity import differences, file_hash, model_hash


def test_a_file_is_read_again_only_if_its_size_or_times_differ(tmp_path):
    path, read = tmp_path / "a", {}
    path.write_text("one")
    first = file_hash(path, read)
    (key,) = read
    read[key][3] = "known"
    assert file_hash(path, read) == "known"
    os.utime(path, ns=(1, 1))
    assert file_hash(path, read) == first
    path.write_text("two")
    os.utime(path, ns=(1, 1))  # which leaves the time of this call
    assert file_hash(path, read) != first


def test_differences_are_named():
    before, after = {"a": 1, "b": 2, "d": None}, {"b": 3, "c": 4}
    assert differences(before, after, "none") == ["a: 1 -> none", "b: 2 -> 3", "c: none -> 4"]


def test_a_vocabulary_in_texts_counts_where_it_is_what_is_read(tmp_path):
    def hashes() -> tuple[list[str], list[str]]:
        return model_hash(str(tmp_path)), model_hash(str(tmp_path), {})

    (tmp_path / "merges.txt").write_text("a b")
    before = hashes()
    (tmp_path / "merges.txt").write_text("b a")
    assert hashes()[0] != before[0]
    assert hashes()[1] != before[1]
    (tmp_path / "tokenizer.json").write_text("{}")
    assert [entry.partition(":")[0] for entry in hashes()[0]] == ["tokenizer.json"]
