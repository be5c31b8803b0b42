"""Files whose bytes, or whose zip, are damaged around arrays that are not."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from tests.helpers.damage import ROWS, Damaged, damage, healthy, members, npy, quietly, whole, zipped


def directory_start(data: bytes) -> int:
    """Where the zip's directory begins."""
    end = data.rindex(b"PK\x05\x06")
    return int.from_bytes(data[end + 16 : end + 20], "little")


def entries(data: bytes) -> list[int]:
    """Where each of the directory's entries begins."""
    found, position = [], data.find(b"PK\x01\x02", directory_start(data))
    while position >= 0:
        found.append(position)
        position = data.find(b"PK\x01\x02", position + 1)
    return found


def flip(data: bytearray, rng: np.random.Generator, low: int, high: int, bits: int = 1) -> Damaged:
    for _ in range(bits):
        data[int(rng.integers(low, high))] ^= 1 << int(rng.integers(8))
    return Damaged(bytes(data), healthy())


# Bytes


@damage(60)
def cut_short(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return Damaged(bytes(data[: rng.integers(len(data))]), healthy())


@damage(10)
def beginning_lost(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return Damaged(bytes(data[rng.integers(1, len(data)) :]), healthy())


@damage(100)
def one_bit_anywhere(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return flip(data, rng, 0, len(data))


@damage(60)
def many_bits_anywhere(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return flip(data, rng, 0, len(data), bits=int(rng.integers(2, 200)))


@damage(100)
def bits_in_the_directory(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return flip(data, rng, directory_start(data), len(data), bits=int(rng.integers(1, 4)))


@damage(40)
def bits_in_a_members_front(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    at = int.from_bytes(data[(entry := int(rng.choice(entries(data)))) + 42 : entry + 46], "little")
    return flip(data, rng, at, at + 50, bits=int(rng.integers(1, 4)))


@damage(10)
def bytes_lost_inside(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    at = int(rng.integers(len(data) - 40))
    del data[at : at + int(rng.integers(1, 40))]
    return Damaged(bytes(data), healthy())


@damage(10)
def bytes_zeroed(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    at = int(rng.integers(len(data) - 512))
    data[at : at + 512] = bytes(512)
    return Damaged(bytes(data), healthy())


@damage(8)
def bytes_around(rng: np.random.Generator) -> Damaged:
    """Before or after the zip: it is found all the same, or not at all."""
    junk = rng.bytes(int(rng.integers(1, 300)))
    return Damaged(junk + bytes(whole(rng)) if rng.integers(2) else bytes(whole(rng)) + junk, healthy())


@damage(6)
def not_a_zip(rng: np.random.Generator) -> Damaged:
    texts = [b"", b"PK", b"observations\n1 2 3\n", npy(np.zeros(3)), bytes(5000), rng.bytes(5000)]
    return Damaged(texts[int(rng.integers(len(texts)))], healthy())


# The zip's directory


@damage(24)
def another_compression(rng: np.random.Generator) -> Damaged:
    """In the directory only, so that the bytes are not what it says; the numbers are those of known methods."""
    data = whole(rng)
    entry = int(rng.choice(entries(data)))
    data[entry + 10 : entry + 12] = int(rng.choice([0, 1, 6, 8, 9, 12, 14, 93, 95, 99, 65535])).to_bytes(2, "little")
    return Damaged(bytes(data), healthy())


@damage(16)
def compressed_otherwise(rng: np.random.Generator) -> Damaged:
    """By methods that numpy does not use; and half of the files damaged, too."""
    method = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[rng.integers(2)]
    data = bytearray(zipped(members(healthy()), method))
    return flip(data, rng, 46, directory_start(data), bits=int(rng.choice([0, 20])))


@damage(6)
def encrypted(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    data[int(rng.choice(entries(data))) + 8] |= int(rng.choice([0x01, 0x20, 0x40, 0x41]))
    return Damaged(bytes(data), healthy())


@damage(24)
def sizes_that_lie(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    field = int(rng.choice(entries(data))) + int(rng.choice([20, 24, 42]))  # compressed, uncompressed, offset
    data[field : field + 4] = int(rng.choice([0, 1, 100, 2**31, 2**32 - 2, 2**32 - 1])).to_bytes(4, "little")
    return Damaged(bytes(data), healthy())


@damage(6)
def places_beyond_the_file(rng: np.random.Generator) -> Damaged:
    """Where a member is, in the 64 bits that zip has for large files."""
    out, place = io.BytesIO(), int(rng.choice([2**32, 2**40, 2**62])) << int(rng.integers(2))
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members(healthy()).items():
            file.writestr(name, data)
        file.infolist()[int(rng.integers(6))].header_offset = place
    return Damaged(out.getvalue(), healthy())


@damage(30)
def longer_entries(rng: np.random.Generator) -> Damaged:
    """The lengths of an entry's name, extra field or comment, which then take in what follows."""
    data = whole(rng)
    places = [*entries(data), len(data) - 22]
    which = int(rng.choice([0, len(places) - 3]))
    more = int(rng.choice([1, 4, places[which + 2] - places[which + 1]]))  # the last: exactly the next entry
    field = places[which] + int(rng.choice([28, 30, 32]))
    data[field : field + 2] = (int.from_bytes(data[field : field + 2], "little") + more).to_bytes(2, "little")
    return Damaged(bytes(data), healthy())


@damage(6)
def the_last_numbers_missing(rng: np.random.Generator) -> Damaged:
    """The directory says that they are there."""
    parts = members(healthy())
    name, last = parts.popitem()
    data = bytearray(zipped({**parts, name: last[: int(rng.integers(128, 400))]}, zipfile.ZIP_STORED))
    entry = entries(data)[-1]
    data[entry + 20 : entry + 28] = len(last).to_bytes(4, "little") * 2
    return Damaged(bytes(data), healthy())


@damage(16)
def renamed(rng: np.random.Generator) -> Damaged:
    arrays = healthy()
    key = str(rng.choice(list(arrays)))
    new = str(
        rng.choice([key, f"{key}.NPY", f"./{key}.npy", f"../{key}.npy", f"{key}.npy.npy", "qpos.npy", "\u00e4.npy"])
    )
    parts = [(new if name == f"{key}.npy" else name, data) for name, data in members(arrays).items()]
    if key == "button_states" and new != "qpos.npy":
        del arrays[key]  # which is then a file without it
    return Damaged(quietly(zipped, parts), arrays)


@damage(6)
def doubled(rng: np.random.Generator) -> Damaged:
    parts = list(members(healthy()).items())
    name, _ = parts[int(rng.integers(len(parts)))]
    parts.insert(int(rng.integers(len(parts))), (name, npy(np.ones((ROWS, 3), np.float32))))
    return Damaged(quietly(zipped, parts), {})


@damage(3)
def more_than_needed(rng: np.random.Generator) -> Damaged:
    extra = {"notes.txt": b"hello", "folder/": b"", "other.npy": npy(np.array([{}], object)), "rewards.npy": b"junk"}
    return Damaged(zipped({**members(healthy()), **dict(list(extra.items())[: int(rng.integers(1, 5))])}), healthy())


@damage(6)
def an_array_missing(rng: np.random.Generator) -> Damaged:
    arrays = healthy()
    del arrays[str(rng.choice(list(arrays)))]
    return Damaged(zipped(members(arrays)), arrays)
