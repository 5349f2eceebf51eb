"""Pictures as they come from students' folders, and the numbers a network gets for them."""

import contextlib
import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import Compose, Normalize, ToTensor

from vizlib import images
from vizlib.errors import UserError
from vizlib.images import (
    cut_share,
    fit,
    inverted_suits,
    look,
    open_image,
    photograph,
    photograph_names,
    png_bytes,
    sharp_png,
    to_network_input,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def noise(height=32, width=48, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def saved(picture, file_format="PNG", **options):
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width, height, *chunks, depth=1, colour=0):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def huge_png():
    row = zlib.compressobj(9)
    pixels = b"".join(row.compress(bytes(2501 * 100)) for _ in range(200)) + row.flush()
    return png(20_000, 20_000, chunk(b"IDAT", pixels))


def refusal(data, words):
    with pytest.raises(UserError, match=words) as caught:
        open_image(data)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "BMP", "TIFF"])
def test_lossless_formats_come_back_bit_exact(file_format):
    pixels = noise()
    opened = open_image(
        saved(
            Image.fromarray(pixels),
            file_format,
            **({"lossless": True} if file_format == "WEBP" else {}),
        )
    )
    assert opened.dtype == np.uint8
    assert np.array_equal(opened, pixels)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"this is a text, renamed .png\n" * 50, "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (saved(Image.fromarray(noise()), "PPM"), "not a picture"),
        (saved(Image.fromarray(noise(200, 200)))[:30_000], "damaged or incomplete"),
        (saved(Image.fromarray(noise(200, 200)), "JPEG")[:5_000], "damaged or incomplete"),
        (saved(Image.fromarray(noise(200, 200)), "TIFF")[:60_000], "damaged or incomplete"),
        (saved(Image.fromarray(noise()))[:20], "not a picture|damaged"),
        (
            png(8, 8, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000)))),
            "damaged or incomplete",
        ),
        (png(5_001, 5_000), r"5,001 x 5,000.*25 million"),
        (png(2**31 - 1, 2**31 - 1), "25 million"),
        (saved(Image.fromarray(np.array([[np.nan, 1]], np.float32)), "TIFF"), "not numbers"),
    ],
    ids=[
        "empty",
        "text",
        "svg",
        "ppm",
        "cut-png",
        "cut-jpeg",
        "cut-tiff",
        "head-only",
        "ztxt-bomb",
        "over-limit",
        "absurd-size",
        "nan",
    ],
)
def test_bad_files_are_refused_in_one_sentence(data, words):
    refusal(data, words)


def test_file_over_fifty_megabytes_is_refused():
    refusal(bytes(images.MAX_BYTES + 1), "50 MB")


def test_huge_picture_is_refused_at_once_in_little_memory():
    data = huge_png()
    assert len(data) < 200_000
    tracemalloc.start()
    start = time.perf_counter()
    refusal(data, "25 million")
    assert time.perf_counter() - start < 0.5
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore")
def test_no_byte_of_a_damaged_file_gets_past_as_another_error():
    rng = np.random.default_rng(1)
    files = [saved(Image.fromarray(noise(8, 8)), kind) for kind in images.FORMATS]
    files.append(saved(Image.fromarray(noise(8, 8)), "TIFF", compression="tiff_lzw"))
    for trial in range(700):
        data = bytearray(files[trial % len(files)])
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(256)
        with contextlib.suppress(UserError):
            assert open_image(bytes(data)).ndim == 3


@pytest.mark.parametrize(("top", "file_format"), [(65535, "PNG"), (4095, "PNG"), (65535, "TIFF")])
def test_sixteen_bit_greys_are_scaled_not_clipped(top, file_format):
    ramp = np.linspace(0, top, 256).astype(np.uint16).reshape(16, 16)
    opened = open_image(saved(Image.fromarray(ramp), file_format))
    assert np.abs(opened[..., 1].astype(int).ravel() - np.arange(256)).max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_wide_greys_are_scaled(dtype):
    ramp = (np.arange(256).reshape(16, 16) * 1000 - 5000).astype(dtype)
    assert np.array_equal(
        open_image(saved(Image.fromarray(ramp), "TIFF"))[..., 0].ravel(), np.arange(256)
    )
    assert open_image(saved(Image.fromarray(np.full((2, 2), 7, dtype)), "TIFF")).max() == 0


def test_transparency_lies_over_white():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (255, 0, 0, 255)
    pixels[1, 1] = (0, 0, 0, 51)
    opened = open_image(saved(Image.fromarray(pixels)))
    assert opened[0, 0].tolist() == [255, 0, 0]
    assert opened[0, 1].tolist() == [255] * 3
    assert opened[1, 1].tolist() == [204] * 3
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([0, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    assert open_image(saved(palette, transparency=0)).tolist() == [[[255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("LAB", "TIFF"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("YCbCr", "TIFF"),
    ],
)
def test_other_colour_modes_keep_their_colour(mode, file_format):
    plain = Image.new("RGB", (16, 16), (200, 60, 40))
    if mode == "LAB":
        from PIL import ImageCms

        picture = ImageCms.profileToProfile(
            plain, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    else:
        picture = plain.convert(mode)
    red, green, blue = open_image(saved(picture, file_format))[8, 8].astype(int)
    assert red > 150
    assert green < 110
    assert blue < 110


def test_one_bit_pictures_are_black_and_white():
    pixels = np.array([[True, False], [False, True]])
    assert np.array_equal(
        open_image(saved(Image.fromarray(pixels)))[..., 0], pixels * np.uint8(255)
    )


def test_exif_orientation_is_followed():
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left of the file is the top of the picture
    opened = open_image(saved(Image.fromarray(pixels), "JPEG", quality=95, exif=exif))
    assert opened.shape == (32, 16, 3)
    assert opened[:12].min() > 240
    assert opened[20:].max() < 15


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken(file_format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    opened = open_image(saved(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert opened.shape == (8, 8, 3)
    assert opened[4, 4, 0] > 240
    assert opened[4, 4, 1:].max() < 15


def test_photographs_are_there_and_only_by_their_names():
    assert {"temple", "flower"} <= set(photograph_names())
    for name in photograph_names():
        picture = photograph(name)
        assert picture.dtype == np.uint8
        assert min(picture.shape[:2]) >= 224
        assert picture.std() > 20
    with pytest.raises(UserError, match="flower"):
        photograph("../../etc/passwd")


def test_without_scikit_learn_its_photographs_are_not_offered(monkeypatch):
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    images._photograph_paths.cache_clear()
    try:
        assert set(photograph_names()) == {"cat", "coffee", "astronaut", "rocket"}
        with pytest.raises(UserError):
            photograph("temple")
    finally:
        images._photograph_paths.cache_clear()


def test_importing_brings_in_none_of_the_large_packages():
    code = (
        "import sys, vizlib.images as i; i.photograph('flower'); print([m for m in ('torch', "
        "'sklearn', 'skimage', 'streamlit') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_tensor_equals_torchvision():
    picture = noise(224, 224)
    received, tensor = to_network_input(picture, (3, 224, 224), MEAN, STD)
    expected = Compose([ToTensor(), Normalize(MEAN, STD)])(Image.fromarray(picture))
    assert np.array_equal(received, picture)
    assert tensor.shape == (1, 3, 224, 224)
    assert tensor.dtype == expected.dtype
    assert (tensor[0] - expected).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(40, 60, 3), (300, 20, 1), (17, 17), (1, 500, 3)])
@pytest.mark.parametrize("size", [(3, 32, 32), (1, 28, 28), (3, 24, 48)])
def test_received_is_what_the_tensor_encodes(shape, size):
    picture = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    mean, std = (0.4,) * size[0], (0.3,) * size[0]
    received, tensor = to_network_input(picture, size, mean, std)
    assert received.dtype == np.uint8
    assert received.shape == (size[1], size[2], size[0])
    assert tensor.shape == (1, *size)
    assert np.abs((tensor[0].permute(1, 2, 0).numpy() * 0.3 + 0.4) * 255 - received).max() < 1e-3


def test_the_middle_is_cut_out_and_averaged():
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, 32:96] = 200  # exactly the middle square
    received, _ = to_network_input(picture, (3, 32, 32), MEAN, STD)
    assert (received == 200).all()
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255  # without antialiasing these come out all black or all white
    assert (
        np.abs(
            to_network_input(stripes, (3, 16, 16), MEAN, STD)[0][:, 2:-2].astype(int) - 127
        ).max()
        < 8
    )


def test_grey_and_colour_are_converted():
    grey = noise(28, 28, 1)
    received, tensor = to_network_input(grey, (1, 28, 28), (0.0,), (1.0,))
    assert np.array_equal(received, grey)
    assert tensor.max() <= 1
    assert np.array_equal(
        to_network_input(grey[..., 0], (3, 28, 28), MEAN, STD)[0], grey.repeat(3, axis=2)
    )
    red = np.full((28, 28, 3), (255, 0, 0), np.uint8)
    assert (to_network_input(red, (1, 28, 28), (0.0,), (1.0,))[0] == 76).all()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((0, 8), np.uint8),
        np.zeros(8, np.uint8),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(picture):
    with pytest.raises(UserError, match="uint8"):
        to_network_input(picture, (3, 8, 8), MEAN, STD)
    with pytest.raises(UserError, match="uint8"):
        png_bytes(picture)


def test_network_of_two_channels_is_refused():
    with pytest.raises(UserError, match="2 channels"):
        to_network_input(noise(), (2, 8, 8), (0, 0), (1, 1))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_enlarges_each_pixel_sharply(shape):
    pixels = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(png_bytes(pixels, 4))) as picture:
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), pixels.repeat(4, 0).repeat(4, 1))
    with pytest.raises(UserError, match="whole number"):
        png_bytes(pixels, 0)


@pytest.mark.parametrize(
    ("shape", "side", "factor"),
    [((5, 7), 50, 7), ((5, 7, 3), 48, 6), ((9, 2, 1), 17, 1), ((40, 70, 3), 64, 1)],
)
def test_small_pictures_are_enlarged_by_a_whole_factor(shape, side, factor):
    pixels = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    assert sharp_png(pixels, side) == png_bytes(pixels, factor)


# What a file unpacks to


def tiled(side, tile, pixels):
    """The bytes of a grey TIFF of `side` pixels a side in one tile of (width, height) `tile`."""
    width, height = tile
    entries = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (277, 1)]
    entries += [(322, width), (323, height), (324, 8 + 2 + 12 * 10 + 4), (325, len(pixels))]
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries))
    head += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return head + struct.pack("<I", 0) + pixels


def test_a_small_picture_in_a_huge_tile_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was unpacked"))
    with pytest.raises(UserError, match=r"tiles of 2,146,959,360 pixels"):
        open_image(tiled(16, (32768, 65520), b"\x00" * 64))


def test_a_tile_somewhat_larger_than_its_picture_opens():
    pixels = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    found = open_image(tiled(20, (32, 32), pixels.tobytes()))
    assert np.array_equal(found[..., 1], pixels[:20, :20])


def jpeg(width, height, **how):
    """A large picture, red above and blue below."""
    picture = Image.new("RGB", (width, height), (200, 20, 20))
    picture.paste((20, 20, 200), (0, height // 2, width, height))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=50, **how)
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "found"), [((6400, 4800), (2400, 3200)), ((11000, 9000), (4500, 5500))]
)
def test_a_large_jpeg_is_read_smaller(size, found):
    data = jpeg(*size)
    picture = open_image(data)
    assert picture.shape == (*found, 3)
    known = look(data)
    assert known.is_reduced
    assert (known.height, known.width) == found
    assert np.abs(picture[100, 100].astype(int) - [200, 20, 20]).max() < 12
    assert np.abs(picture[-100, -100].astype(int) - [20, 20, 200]).max() < 12
    assert not look(jpeg(640, 480)).is_reduced


@pytest.mark.parametrize(
    ("size", "how"), [((6400, 4800), {"progressive": True}), ((12000, 9000), {})]
)
def test_one_that_needs_too_much_memory_even_so_is_refused(size, how):
    with pytest.raises(UserError, match="million can be opened"):
        open_image(jpeg(*size, **how))


def test_transparency_of_every_kind_is_over_white():
    shades = np.linspace(0, 255, 16).astype(np.uint8)
    grey = Image.merge("LA", [Image.new("L", (16, 1), 40), Image.fromarray(shades[None])])
    colour = Image.merge(
        "RGBA", [Image.new("L", (16, 1), 40)] * 3 + [Image.fromarray(shades[None])]
    )
    expected = 255 - 215 * (shades / 255)
    for picture in (grey, colour):
        file = io.BytesIO()
        picture.save(file, "PNG")
        found = open_image(file.getvalue())
        assert np.abs(found[0, :, 2] - expected).max() <= 1


# What is not seen


@pytest.mark.parametrize(
    ("size", "wanted", "share"),
    [((100, 200), (3, 32, 32), 0.5), ((300, 100), (1, 20, 10), 1 / 3), ((64, 64), (3, 8, 8), 0)],
)
def test_the_share_that_is_cut_off(size, wanted, share):
    """By the formula, and by how much of a picture never matters."""
    assert cut_share(*size, wanted) == pytest.approx(share, abs=0.01)
    before = np.zeros((*size, 3), np.uint8)
    base = fit(before, wanted)
    seen = sum(
        not np.array_equal(fit(_lit(before, row=row), wanted), base) for row in range(size[0])
    ) * sum(
        not np.array_equal(fit(_lit(before, column=column), wanted), base)
        for column in range(size[1])
    )
    assert 1 - seen / (size[0] * size[1]) == pytest.approx(share, abs=0.02)


def _lit(picture, row=slice(None), column=slice(None)):
    picture = picture.copy()
    picture[row, column] = 255
    return picture


@pytest.mark.parametrize(
    ("edge", "middle", "mean", "suits"),
    [
        (255, 0, [0.3], True),  # a digit in black, a set in white on black
        (0, 255, [0.3], False),
        (0, 255, [0.8], True),
        (255, 0, [0.8], False),
        (255, 0, [0.48, 0.47, 0.44], False),  # photographs are neither
        (140, 0, [0.2], False),
    ],
)
def test_when_inverting_is_offered(edge, middle, mean, suits):
    picture = np.full((28, 28, 3), edge, np.uint8)
    picture[4:24, 6:22] = middle
    assert inverted_suits(picture, mean) == suits


# What a file costs, whatever it says of itself


def tiff_in_a_strip_of(rows):
    """A grey TIFF of 16 x 16, its one deflated strip said to have so many rows."""
    data = saved(Image.fromarray(noise(16, 16)[..., 0]), "TIFF", compression="tiff_deflate")
    (at,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[at : at + 2])
    tags = [at + 2 + 12 * number for number in range(count)]
    where = next(tag for tag in tags if data[tag : tag + 2] == struct.pack("<H", 278))
    return data[: where + 2] + struct.pack("<HII", 4, 1, rows) + data[where + 12 :]


def gif_of_a_large_frame():
    """A screen of 16 x 16 whose first frame says that it has 4,900 x 4,900 pixels."""
    data = bytearray(saved(Image.fromarray(noise(16, 16)[..., 0]), "GIF"))
    at = data.index(b"\x2c")
    while data[at + 1 : at + 5] != bytes(4):
        at = data.index(b"\x2c", at + 1)
    data[at + 5 : at + 9] = struct.pack("<HH", 4900, 4900)
    return bytes(data)


def bmp_of(width, height):
    data = bytearray(saved(Image.fromarray(noise(16, 16)), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


COSTLY = {
    "strip": tiff_in_a_strip_of(2**31),
    "gif": gif_of_a_large_frame(),
    "bmp": bmp_of(60_000, 60_000),
    "bmp just allowed": bmp_of(5_000, 5_000),
    "ppm": b"P6 60000 60000 255\n" + bytes(300),
    "ppm just allowed": b"P6 5000 5000 255\n" + bytes(300),
    "png": huge_png(),
}
COST = """
import resource, sys
from vizlib.errors import UserError
from vizlib.images import OF_FOLDERS, open_image, photograph
photograph("cat")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(*open_image(sys.stdin.buffer.read(), formats=OF_FOLDERS).shape)
except UserError as error:
    print("refused:", error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
@pytest.mark.parametrize("kind", COSTLY)
def test_what_a_file_says_of_itself_costs_no_memory(kind):
    """In a process of its own, which has read a picture before. Each is refused unread."""
    ended = subprocess.run(
        [sys.executable, "-c", COST], input=COSTLY[kind], capture_output=True, check=True
    )
    found, megabytes = ended.stdout.decode().splitlines()
    assert found.startswith("refused:"), found
    assert int(megabytes) < 20
