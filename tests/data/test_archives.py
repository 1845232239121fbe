"""Archives of historical text: unpacked within limits, nothing outside the folder."""

import io
import json
import tarfile
import zipfile

import pytest

from pg_envs.data.archives import ArchiveLimits, _Bounded, text_folder
from pg_envs.data.cleaning.folders import clean_folder
from pg_envs.data.histtext import read_folder
from pg_envs.data.schema import HistTextError

TEXT = json.dumps([{"content": "Text.", "creation_year": 1215, "source_dataset": "x"}]).encode()
SMALL = ArchiveLimits(max_bytes=100_000, max_members=10)


def make_tar(path, members, mode="w:xz"):
    """``members``: name and bytes, or a ``TarInfo`` alone."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, data = member
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def special(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary folders go: whatever is left over or leads out is seen here."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


MEMBERS = [("histtext/README.md", b"not text"), ("histtext/C013/1215.json", TEXT), ("histtext/undated.json", TEXT)]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"])
def test_reads_what_the_folder_would_give_and_goes_away(tmp_path, scratch, ending):
    path = tmp_path / f"text{ending}"
    modes = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}
    make_zip(path, MEMBERS) if ending == ".zip" else make_tar(path, MEMBERS, modes[ending])
    with text_folder(path) as folder:
        assert everything_in(folder) == ["C013", "C013/1215.json", "undated.json"]
        assert [passage.content for passage in read_folder(folder)] == ["Text."]
    assert everything_in(scratch) == []


def test_centuries_at_the_top_and_behind_a_dot(tmp_path):
    with text_folder(make_tar(tmp_path / "a.tar.xz", [("./C013/1215.json", TEXT), ("C014/Y01301.json", TEXT)])) as folder:
        assert everything_in(folder) == ["C013", "C013/1215.json", "C014", "C014/Y01301.json"]


HARMFUL_NAMES = [
    "/C013/1215.json",
    "../C013/1215.json",
    "C013/../../1215.json",
    "..\\C013\\1215.json",
    "C:\\C013\\1215.json",
    "a/../../../etc/passwd",
]


@pytest.mark.parametrize("name", HARMFUL_NAMES)
@pytest.mark.parametrize("make", [make_tar, make_zip], ids=["tar", "zip"])
def test_paths_that_lead_out_are_refused(tmp_path, scratch, make, name):
    path = make(tmp_path / ("a.tar.xz" if make is make_tar else "a.zip"), [("C013/1214.json", TEXT), (name, TEXT)])
    before = everything_in(tmp_path)
    with pytest.raises(HistTextError, match="a path that leads out"), text_folder(path):
        pass
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (special("C013/1215.json", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
        (special("C013", tarfile.SYMTYPE, "/tmp"), "a link"),
        (special("C013/1216.json", tarfile.LNKTYPE, "C013/1214.json"), "a link"),
        (special("C013/1215.json", tarfile.CHRTYPE), "no regular file"),
        (special("C013/1215.json", tarfile.BLKTYPE), "no regular file"),
        (special("C013/1215.json", tarfile.FIFOTYPE), "no regular file"),
    ],
    ids=["symbolic link", "folder link", "hard link", "character device", "block device", "pipe"],
)
def test_links_and_devices_are_refused(tmp_path, scratch, member, says):
    path = make_tar(tmp_path / "a.tar.xz", [("C013/1214.json", TEXT), member])
    with pytest.raises(HistTextError, match=rf"{member.name}'?: {says}; only regular files"), text_folder(path):
        pass
    assert everything_in(scratch) == []


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("C013/1215.json")
    info.external_attr = 0o120777 << 16
    with pytest.raises(HistTextError, match="a link"), text_folder(make_zip(tmp_path / "a.zip", [(info, b"/etc/passwd")])):
        pass


@pytest.mark.parametrize("make", [make_tar, make_zip], ids=["tar", "zip"])
def test_what_unpacks_to_too_much_is_refused(tmp_path, scratch, make):
    path = make(tmp_path / ("a.tar.xz" if make is make_tar else "a.zip"), [("C013/1215.json", bytes(200_000))])
    assert path.stat().st_size < 5000
    with pytest.raises(HistTextError, match="over 100000 bytes unpacked"), text_folder(path, SMALL):
        pass
    assert everything_in(scratch) == []


def test_many_small_members_add_up(tmp_path):
    path = make_tar(tmp_path / "a.tar.xz", [(f"C013/121{i}.json", bytes(30_000)) for i in range(4)])
    with pytest.raises(HistTextError, match=r"'C013/1213\.json': over 100000 bytes"), text_folder(path, SMALL):
        pass


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("C013/1215.json", bytes(200_000))])
    path.write_bytes(path.read_bytes().replace((200_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(HistTextError, match=r"cannot be unpacked|over 100000 bytes"), text_folder(path, SMALL):
        pass


def test_too_many_members_are_refused(tmp_path):
    path = make_tar(tmp_path / "a.tar.xz", [(f"x{i}", b"") for i in range(11)])
    with pytest.raises(HistTextError, match="more than 10 members"), text_folder(path, SMALL):
        pass


def test_a_header_of_gigabytes_is_not_read_whole():
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 4 << 30

    class File(io.BytesIO):
        def read(self, n_bytes=-1):
            assert 0 <= n_bytes <= 1 << 20
            return super().read(n_bytes)

    bounded = _Bounded(File(header.tobuf()), 8 << 30)
    with pytest.raises(tarfile.ReadError, match="a header of 4294967296 bytes"), tarfile.open(fileobj=bounded, mode="r:"):
        pass


def test_skipping_does_not_unpack_without_an_end(tmp_path):
    path = make_tar(tmp_path / "a.tar.xz", [("C013/1215.json", TEXT), *((f"x{i}", bytes(90_000)) for i in range(20))])
    with pytest.raises(HistTextError, match=r"over \d+ bytes unpacked"), text_folder(path, ArchiveLimits(100_000)):
        pass


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("a.tar.xz", lambda path: path.write_bytes(b"no archive at all"), "cannot be unpacked"),
        ("a.zip", lambda path: path.write_bytes(b"no archive at all"), "cannot be unpacked"),
        ("a.tar.xz", lambda path: path.write_bytes(make_tar(path, MEMBERS).read_bytes()[:150]), "cannot be unpacked"),
        ("a.tar.xz", lambda path: make_tar(path, [("notes/1215.json", TEXT)]), r"no files such as C013/1215\.json"),
        ("a.tar.xz", lambda path: make_tar(path, [("a/C013/1215.json", TEXT), ("b/C013/1215.json", TEXT)]), "beside text in 'a'"),
        ("a.zip", lambda path: make_tar(path, MEMBERS), "cannot be unpacked"),
        ("a.tar.xz", lambda path: make_tar(path, [("C013/1215.json", TEXT)] * 2), "a second file of this name"),
        ("a.rar", lambda path: path.write_bytes(b""), "no folder and no archive"),
    ],
)
def test_what_is_no_archive_of_text_is_named(tmp_path, scratch, name, make, says):
    make(tmp_path / name)
    with pytest.raises(HistTextError, match=says), text_folder(tmp_path / name):
        pass
    assert everything_in(scratch) == []


def test_cleaning_an_archive_is_cleaning_its_folder(tmp_path):
    archive = make_tar(tmp_path / "a.tar.xz", [("text/C013/1215.json", b'[{"content": ""}]')])
    report = clean_folder(archive, tmp_path / "out")
    assert report.reasons == {("C013", "no-content", "drop"): 1}
    make_tar(archive, [("../C013/1215.json", TEXT)])
    with pytest.raises(HistTextError, match="leads out"):
        clean_folder(archive, tmp_path / "other")
    assert everything_in(tmp_path) == ["a.tar.xz", "out", "out/findings.jsonl", "out/report.json", "out/report.md"]
